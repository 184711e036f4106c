//! The user namespace of an ordinary user's guards.

use std::{
    env,
    ffi::OsString,
    fs, io,
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use nix::sched::{CloneFlags, unshare};

use super::{
    error::{SessionError, Unusable},
    wire::USERNS_ROLE,
};
use crate::guard::GuardError;

/// How many ids an image needs: all that Linux distributions give out, with `nobody`.
const ENOUGH: u32 = 65_535;
/// What a guard says that gets no user namespace.
const REFUSED: &str = "no user namespace";

/// Which ids of this machine stand for those in the namespace, for users and for groups, as `newuidmap` takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maps {
    users: String,
    groups: String,
}

impl Maps {
    /// All ids of this machine, each for itself. Only root may do that.
    pub(super) fn all() -> Self {
        let all = format!("0 0 {}", u32::MAX);
        Self { users: all.clone(), groups: all }
    }

    /// What executes the helper in the namespace: put before its own path and arguments.
    pub(super) fn through(&self, helper: &Path) -> Vec<OsString> {
        [helper.into(), USERNS_ROLE.into(), (&self.users).into(), (&self.groups).into()].into()
    }
}

/// The ids that this user was given.
pub(super) fn maps() -> Result<Maps, Unusable> {
    for program in ["newuidmap", "newgidmap"] {
        let path = env::var_os("PATH").unwrap_or_default();
        if !env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            return Err(Unusable::new(
                format!("{program} is not installed, and ordinary users need it"),
                "Install it: apt-get install uidmap or dnf install shadow-utils.",
            ));
        }
    }
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let name =
        nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    let map = |file: &str, own: u32| {
        let text = fs::read_to_string(file).unwrap_or_default();
        map(&text, &name, &uid.to_string(), own).ok_or_else(|| {
            Unusable::new(
                format!("{name} has no range of at least {ENOUGH} ids in {file}"),
                format!(
                    "Add the line {name}:100000:65536 to {file} (with a range that nobody else has there), or run: \
                     sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"
                ),
            )
        })
    };
    Ok(Maps { users: map("/etc/subuid", uid.as_raw())?, groups: map("/etc/subgid", gid.as_raw())? })
}

/// The arguments of `newuidmap` that make `own` root and give it all the ranges of a user; `None` if they are too few.
fn map(text: &str, name: &str, uid: &str, own: u32) -> Option<String> {
    let mut map = format!("0 {own} 1");
    let mut next = 1_u32;
    for line in text.lines() {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (Some(Ok(start)), Some(Ok(count))) =
            (fields.next().map(str::parse::<u32>), fields.next().map(|count| count.trim().parse::<u32>()))
        else {
            continue;
        };
        if (owner == name || owner == uid) && count > 0 {
            map.extend([" ", &next.to_string(), " ", &start.to_string(), " ", &count.to_string()]);
            next = next.checked_add(count)?;
        }
    }
    (next > ENOUGH).then_some(map)
}

/// Says what to do when a guard could not begin for want of a user namespace.
pub(super) fn explain(error: GuardError) -> SessionError {
    let said = error.to_string();
    if !said.contains(REFUSED) {
        return error.into();
    }
    let read = |name: &str| fs::read_to_string(Path::new("/proc/sys").join(name)).unwrap_or_default();
    let advice = if read("kernel/unprivileged_userns_clone").trim() == "0" {
        "Run: sudo sysctl kernel.unprivileged_userns_clone=1"
    } else if read("user/max_user_namespaces").trim() == "0" {
        "Run: sudo sysctl user.max_user_namespaces=15000"
    } else if read("kernel/apparmor_restrict_unprivileged_userns").trim() == "1" {
        "Run: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else {
        "See whether `unshare --user true` works for this user; containers often forbid it."
    };
    Unusable::new(format!("ordinary users get no user namespace here: {said}"), advice).into()
}

/// Makes a user namespace and executes this program in it, with the arguments behind its path.
///
/// A second process, which stays outside, writes the maps when the namespace is there.
pub(super) fn main() -> i32 {
    let arguments: Vec<OsString> = env::args_os().skip(2).collect();
    let outcome = match arguments.as_slice() {
        [pid, users, groups] if pid.to_str().is_some_and(|pid| pid.starts_with("pid=")) => {
            write_maps(pid, users, groups)
        }
        // What stands there as the program is this one, by a name that may mean nothing in the namespace: the links of
        // processes outside cannot be followed there.
        [users, groups, _, rest @ ..] => {
            enter(users, groups).and_then(|()| Err(Command::new("/proc/self/exe").args(rest).exec()))
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    if let Err(error) = outcome {
        // Whoever started this reads it.
        let _ = writeln!(io::stderr(), "{error}");
        return 1;
    }
    0
}

fn enter(users: &OsString, groups: &OsString) -> io::Result<()> {
    let mut writer = Command::new("/proc/self/exe")
        .arg(USERNS_ROLE)
        .arg(format!("pid={}", std::process::id()))
        .args([users, groups])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| io::Error::other(format!("{REFUSED}: {error}")))?;
    // The end of its input tells it that the namespace is there; what it reads tells it that this was no accident.
    if let Some(mut stdin) = writer.stdin.take() {
        stdin.write_all(b"go")?;
    }
    if writer.wait()?.success() {
        return Ok(());
    }
    Err(io::Error::other("the ids of the user namespace cannot be set"))
}

fn write_maps(pid: &OsString, users: &OsString, groups: &OsString) -> io::Result<()> {
    let mut word = String::new();
    io::stdin().read_to_string(&mut word)?;
    if word != "go" {
        return Ok(());
    }
    let pid = pid.to_string_lossy().replacen("pid=", "", 1);
    if nix::unistd::geteuid().is_root() {
        for (file, map) in [("uid_map", users), ("gid_map", groups)] {
            fs::write(Path::new("/proc").join(&pid).join(file), map.as_encoded_bytes())?;
        }
        return Ok(());
    }
    for (program, map) in [("newuidmap", users), ("newgidmap", groups)] {
        let map = map.to_string_lossy();
        let status = Command::new(program).arg(&pid).args(map.split(' ')).stdin(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("{program} {pid} {map} failed")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ranges_of_a_user_are_mapped_after_root() {
        let text = "other:1:2\nbuilder:100000:65536\n1001:300000:10\n";
        assert_eq!(
            map(text, "builder", "1001", 1001),
            Some("0 1001 1 1 100000 65536 65537 300000 10".into())
        );
        assert_eq!(map(text, "other", "7", 7), None);
        assert_eq!(map("", "builder", "1001", 1001), None);
    }
}

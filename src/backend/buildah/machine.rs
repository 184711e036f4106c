//! What this machine has that buildah needs.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{
    backend::BuildahOptions,
    version::{BuildahVersion, OLDEST},
};
use crate::helper;

/// The programs and rights that were found.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// The program that serves as a helper.
    pub(super) helper: PathBuf,
    /// buildah.
    pub(super) program: PathBuf,
    pub(super) version: BuildahVersion,
    /// Whether this is an ordinary user, so that everything happens in a user namespace.
    pub(super) rootless: bool,
    /// Folders that container runtimes must see empty.
    pub(super) mask: Vec<PathBuf>,
}

/// Why buildah cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// A fragment: `is not installed`.
    pub(super) reason: String,
    /// What to do, as a sentence.
    pub(super) advice: String,
}

impl Unusable {
    pub(super) fn new(reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { reason: reason.into(), advice: advice.into() }
    }
}

/// Looks for everything. Starts only `buildah --version`.
pub(super) async fn find(options: &BuildahOptions) -> Result<Machine, Unusable> {
    let helper = options.helper.clone().or_else(helper::program).ok_or_else(|| {
        Unusable::new(
            "has no helper program",
            "Call polyarch::init() first in main, or name a program that does with BuildahOptions::helper.",
        )
    })?;
    let program = match &options.program {
        Some(program) => program.is_file().then(|| program.clone()),
        None => find_program("buildah"),
    };
    let program = program.ok_or_else(|| {
        Unusable::new(
            "is not installed",
            "Install it: apt-get install buildah, dnf install buildah or apk add buildah.",
        )
    })?;
    let version = version(&program).await?;
    let rootless = !nix::unistd::geteuid().is_root();
    if rootless {
        check_user_namespaces()?;
    }
    Ok(Machine { helper, program, version, rootless, mask: mask() })
}

async fn version(program: &Path) -> Result<BuildahVersion, Unusable> {
    let advice = "Install a newer buildah.";
    let output = tokio::process::Command::new(program).arg("--version").kill_on_drop(true).output().await;
    let output = output.map_err(|error| Unusable::new(format!("does not run: {error}"), advice))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = BuildahVersion::parse(&text)
        .ok_or_else(|| Unusable::new(format!("does not say its version: {}", text.trim()), advice))?;
    if version < OLDEST {
        return Err(Unusable::new(format!("is {version}, and at least {OLDEST} is needed"), advice));
    }
    Ok(version)
}

/// An ordinary user needs a range of user ids and the programs that hand them out.
fn check_user_namespaces() -> Result<(), Unusable> {
    if find_program("newuidmap").is_none() || find_program("newgidmap").is_none() {
        return Err(Unusable::new(
            "needs newuidmap for ordinary users",
            "Install it: apt-get install uidmap or dnf install shadow-utils.",
        ));
    }
    let uid = nix::unistd::getuid();
    let name =
        nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let listed = fs::read_to_string(file).is_ok_and(|text| has_range(&text, &name, &uid.to_string()));
        if !listed {
            return Err(Unusable::new(
                format!("finds no range of ids for {name} in {file}"),
                format!("Run: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"),
            ));
        }
    }
    Ok(())
}

/// Whether a text like `/etc/subuid` gives a user a range, by name or by number.
fn has_range(text: &str, name: &str, uid: &str) -> bool {
    text.lines().any(|line| line.split_once(':').is_some_and(|(owner, _)| owner == name || owner == uid))
}

/// crun refuses machines with version 1 and 2 of control groups at once. Without sight of the second it uses the
/// first.
fn mask() -> Vec<PathBuf> {
    let unified = PathBuf::from("/sys/fs/cgroup/unified");
    if unified.is_dir() { vec![unified] } else { Vec::new() }
}

/// A program in `PATH`, or where administrators' programs are.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ids_is_found_by_name_and_by_number() {
        let text = "root:1:2\nbuilder:100000:65536\n1007:165536:65536\n";
        assert!(has_range(text, "builder", "1001"));
        assert!(has_range(text, "other", "1007"));
        assert!(!has_range(text, "build", "100"));
    }
}

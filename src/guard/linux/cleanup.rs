//! Removes what a killed command left behind.

use std::{
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use nix::mount::{MntFlags, umount2};

use super::{
    group,
    protocol::{Cleanup, CleanupCommand, Emptied},
};
use crate::removal::remove_folder;

/// Does the part of a clean-up that needs no command; nothing of what is cleaned may be running. `killed` says that
/// something did not end by itself. Returns what could not be done.
pub(super) fn remove_files(cleanup: &Cleanup, killed: bool) -> Vec<String> {
    for name in &cleanup.cgroups {
        remove_cgroup(name, &group::top());
    }
    let due = cleanup.empty.iter().filter(|emptied| killed || !emptied.only_after_kill);
    due.filter_map(|emptied| empty(emptied).err()).collect()
}

/// The commands that are needed.
pub(super) fn due(cleanup: &Cleanup) -> Vec<CleanupCommand> {
    cleanup.commands.iter().filter(|command| holds_entries(&command.if_listed)).cloned().collect()
}

/// Removes what a command should have removed and did not. Returns what could not be done.
pub(super) fn remove_otherwise(command: &CleanupCommand) -> Result<(), String> {
    if !holds_entries(&command.if_listed) {
        return Ok(());
    }
    empty(&Emptied { folder: command.otherwise.clone(), keep_prefix: None, only_after_kill: false })
}

/// Ends a clean-up. The markers stay where something could not be done, so that the next one to come tries again.
pub(super) fn finish(cleanup: &Cleanup, problems: &[String]) {
    if problems.is_empty() {
        for marker in &cleanup.markers {
            let _ = fs::remove_file(marker);
        }
    }
}

/// Whether a JSON list in a file holds anything. No file holds nothing.
fn holds_entries(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| {
        serde_json::from_slice::<Option<Vec<serde::de::IgnoredAny>>>(&bytes)
            .is_ok_and(|list| list.is_some_and(|list| !list.is_empty()))
    })
}

pub(super) fn empty(emptied: &Emptied) -> Result<(), String> {
    let folder = &emptied.folder;
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let problem = |error: io::Error| format!("{} cannot be emptied: {error}", folder.display());
    // Removing through a mount would remove what is mounted: a build's context, or a cache of the user.
    for mounted in mounts_below(&folder).map_err(problem)?.iter().rev() {
        let _ = umount2(mounted, MntFlags::MNT_DETACH);
    }
    if let Some(mounted) = mounts_below(&folder).map_err(problem)?.first() {
        return Err(format!("{} is still mounted", mounted.display()));
    }
    for entry in fs::read_dir(&folder).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        let name = entry.file_name();
        let keep = emptied.keep_prefix.as_deref();
        if keep.is_some_and(|keep| name.to_string_lossy().starts_with(keep)) {
            continue;
        }
        let removed = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_folder(&entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        or_gone(removed).map_err(problem)?;
    }
    Ok(())
}

/// What is not there any more needs no removal.
pub(super) fn or_gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// What is mounted below a folder, or on it, in the order of mounting.
fn mounts_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(mount_points(&fs::read("/proc/self/mountinfo")?)
        .into_iter()
        .filter(|mounted| mounted.starts_with(folder))
        .collect())
}

/// The mount points in `/proc/self/mountinfo`.
fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(std::ffi::OsString::from_vec(unescape(field))))
        .collect()
}

/// Spaces, tabs, newlines and backslashes stand as three octal digits (proc(5)).
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, others @ ..] = rest {
        let octal = others.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        plain.push(octal.unwrap_or(*first));
        rest = &others[if octal.is_some() { 3 } else { 0 }..];
    }
    plain
}

/// Removes a control group from the top of each hierarchy, and from the groups of builds there. Without the right to do so there is none: the runtime
/// could not have made it.
fn remove_cgroup(name: &str, top: &Path) {
    let hierarchies = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([top.to_owned()]).filter(|path| !path.is_symlink()) {
        remove_groups(&hierarchy.join(name));
        let entries = fs::read_dir(&hierarchy).into_iter().flatten().flatten();
        for build in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(group::OF_BUILDS))
        {
            remove_groups(&build.path().join(name));
            // It stays where others are below. Whoever is about to be makes it again.
            let _ = fs::remove_dir(build.path());
        }
    }
}

/// A group can be removed when no process is in it, after those below it.
fn remove_groups(group: &Path) {
    let below = fs::read_dir(group).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_groups(&entry.path());
    }
    let _ = fs::remove_dir(group);
}

#[cfg(test)]
mod tests {
    use super::{super::command::Command, *};
    use crate::guard::CleanupCommand;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let info = b"36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw\n\
                     37 35 0:5 / /proc\\134x rw - proc proc rw\n";
        assert_eq!(mount_points(info), [PathBuf::from("/mnt/a b"), PathBuf::from("/proc\\x")]);
    }

    #[test]
    fn a_list_counts_only_when_it_holds_something() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("containers.json");
        assert!(!holds_entries(&path));
        for (text, holds) in [("[]", false), ("null", false), ("", false), ("[{\"id\":\"x\"}]", true)] {
            fs::write(&path, text).expect("written");
            assert_eq!(holds_entries(&path), holds, "{text}");
        }
    }

    #[test]
    fn a_folder_is_emptied_but_for_what_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("buildah123/deep")).expect("made");
        fs::create_dir(folder.path().join("buildah-cache-0")).expect("made");
        fs::write(folder.path().join("file"), "x").expect("written");
        let mut emptied = Emptied {
            folder: folder.path().to_owned(),
            keep_prefix: Some("buildah-cache".into()),
            only_after_kill: true,
        };
        let cleanup = Cleanup { empty: vec![emptied.clone()], ..Cleanup::default() };
        assert_eq!(remove_files(&cleanup, false), Vec::<String>::new());
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 3);
        emptied.only_after_kill = false;
        empty(&emptied).expect("emptied");
        let left: Vec<_> = fs::read_dir(folder.path()).expect("list").flatten().collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].file_name(), "buildah-cache-0");
    }

    #[test]
    fn a_group_is_removed_below_its_build_too_and_the_build_goes_with_the_last() {
        let top = tempfile::tempdir().expect("a folder");
        let path = |text: &str| top.path().join(text);
        for folder in ["memory/one/deep", "memory/polyarch-build-a/one/deep", "memory/polyarch-build-b/one"] {
            fs::create_dir_all(path(folder)).expect("made");
        }
        for folder in ["memory/polyarch-build-b/two", "memory/other/one", "polyarch-build-a/one"] {
            fs::create_dir_all(path(folder)).expect("made");
        }
        remove_cgroup("one", top.path());
        for (folder, stays) in [
            ("memory/one", false),
            ("memory/polyarch-build-a", false),
            ("polyarch-build-a", false),
            ("memory/polyarch-build-b/one", false),
            ("memory/polyarch-build-b/two", true),
            ("memory/other/one", true),
        ] {
            assert_eq!(path(folder).exists(), stays, "{folder}");
        }
    }

    #[test]
    fn commands_run_only_when_needed_and_markers_go_only_when_all_worked() {
        let folder = tempfile::tempdir().expect("a folder");
        let (marker, list) = (folder.path().join("dirty"), folder.path().join("list"));
        fs::write(&marker, "").expect("written");
        let command = Command::new("true");
        let cleanup = Cleanup {
            commands: vec![CleanupCommand {
                if_listed: list.clone(),
                command: command.clone(),
                otherwise: folder.path().join("storage"),
            }],
            markers: vec![marker.clone()],
            ..Cleanup::default()
        };
        assert_eq!(due(&cleanup), []);
        fs::write(&list, "[1]").expect("written");
        assert_eq!(due(&cleanup), cleanup.commands);
        finish(&cleanup, &["a problem".to_owned()]);
        assert!(marker.exists());
        finish(&cleanup, &[]);
        assert!(!marker.exists());
    }

    #[test]
    fn what_a_command_leaves_is_removed_without_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (storage, list) = (folder.path().join("storage"), folder.path().join("storage/list"));
        fs::create_dir(&storage).expect("made");
        fs::write(&list, "[]").expect("written");
        let command = CleanupCommand {
            if_listed: list.clone(),
            command: Command::new("true"),
            otherwise: storage.clone(),
        };
        remove_otherwise(&command).expect("nothing to do");
        assert!(list.exists());
        fs::write(&list, "[1]").expect("written");
        remove_otherwise(&command).expect("emptied");
        assert_eq!(fs::read_dir(&storage).expect("list").count(), 0);
    }
}

//! The control group that a cell is in from its beginning.
//!
//! To enter one takes the kernel about ten milliseconds, because all its CPUs have to take notice. A cell that is made
//! before it is needed spends them while nobody waits.
//!
//! Sources: Linux, `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/pids.rst`; systemd, "Control Group APIs and Delegation".

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

/// Where control groups are mounted.
pub(crate) const TOP: &str = "/sys/fs/cgroup";

/// How the names of groups begin that hold all steps of a build together.
pub(crate) const OF_BUILDS: &str = "polyarch-build-";

/// Whether one hierarchy of groups limits everything (version 2).
pub(crate) fn is_unified() -> bool {
    Path::new(TOP).join("cgroup.controllers").exists()
}

/// The folder in which this process makes its groups: where they are mounted or, for whoever may make none there, the one
/// that its own group is in.
///
/// With version 2 systemd leaves that to an ordinary user where the process is in a unit of their own manager, or in a
/// subgroup of a unit (`DelegateSubgroup=`). Its own group would not do: while processes are in a group, it limits none
/// below. A process that has entered one of the groups here gets the same answer.
pub(crate) fn top() -> PathBuf {
    let top = Path::new(TOP);
    if !is_unified() || access(top, Access::WRITE_OK).is_ok() {
        return top.to_owned();
    }
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    above(&groups).map_or_else(|| top.to_owned(), |path| top.join(path))
}

/// The group that a process is in is in this one of version 2, as a path from the top; nothing where that cannot be seen.
fn above(groups: &str) -> Option<&str> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_outside = own.split('/').any(|part| part == "..");
    own.rsplit_once('/').map(|(above, _)| above).filter(|_| !is_outside)
}

/// The folder of the group `name` that limits the number of processes.
pub(crate) fn folder(name: &str) -> PathBuf {
    let top = top();
    if is_unified() { top.join(name) } else { top.join("pids").join(name) }
}

/// Enters a group, which is made where it is missing.
pub(super) fn enter(name: &str) -> io::Result<()> {
    let folder = folder(name);
    if !folder.exists() {
        fs::create_dir(&folder)?;
    }
    fs::write(folder.join("cgroup.procs"), "0")
}

/// Whether this process has entered a group.
pub(crate) fn is_entered(name: &str) -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups.lines().any(|line| line.rsplit_once('/').is_some_and(|(_, last)| last == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_beside_that_of_this_process() {
        for (groups, expected) in [
            ("0::/user.slice/u/app.slice/run-1.scope\n", Some("user.slice/u/app.slice")),
            ("1:name=systemd:/a/b\n0::/a.service/server\n", Some("a.service")),
            ("0::/\n", None),
            ("0::/init.scope\n", None),
            ("0::/../../other/b\n", None),
            ("4:memory:/a/b\n", None),
            ("", None),
        ] {
            assert_eq!(above(groups), expected, "{groups:?}");
        }
    }
}

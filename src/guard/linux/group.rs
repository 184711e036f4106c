//! The control group that a cell is in from its beginning.
//!
//! To enter one takes the kernel about ten milliseconds, because all its CPUs have to take notice. A cell that is made
//! before it is needed spends them while nobody waits.
//!
//! Sources: Linux, `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/pids.rst`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where control groups are mounted.
pub(crate) const TOP: &str = "/sys/fs/cgroup";

/// How the names of groups begin that hold all steps of a build together.
pub(crate) const OF_BUILDS: &str = "polyarch-build-";

/// Whether one hierarchy of groups limits everything (version 2).
pub(crate) fn is_unified() -> bool {
    Path::new(TOP).join("cgroup.controllers").exists()
}

/// The folder of the group `name` that limits the number of processes.
pub(crate) fn folder(name: &str) -> PathBuf {
    let top = Path::new(TOP);
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

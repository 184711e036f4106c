//! Where control groups of steps are.

use std::{fs, path::PathBuf};

use polyarch::oci::digest_of;
use polyarch_actors::BuildId;

/// The folders in which polyarch makes groups: where each hierarchy is mounted and, for an ordinary user, where the group of
/// this process is in that of version 2.
pub(crate) fn tops() -> Vec<PathBuf> {
    let mounted = PathBuf::from("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(&mounted).into_iter().flatten().flatten().map(|entry| entry.path());
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).and_then(|own| own.rsplit_once('/'));
    hierarchies.chain([mounted.clone()]).chain(own.map(|(above, _)| mounted.join(above))).collect()
}

/// The groups of this name that there are.
pub(crate) fn named(name: &str) -> Vec<PathBuf> {
    let mut groups: Vec<PathBuf> = tops().into_iter().map(|top| top.join(name)).collect();
    groups.retain(|group| group.exists());
    groups.sort();
    groups.dedup();
    groups
}

/// The groups of a build, in each hierarchy that has one.
pub(crate) fn of_build(build: &BuildId) -> Vec<PathBuf> {
    named(&format!("polyarch-build-{}", digest_of(build.as_str().as_bytes()).short()))
}

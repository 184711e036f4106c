//! What is mounted where, prepared before the step's process exists.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::CWD,
    mount::{OpenTreeFlags, open_tree},
};

use super::system::restrict_mount;
use crate::session::{error::Failure, step::Step};

/// The devices that every step has.
///
/// Source: OCI runtime specification, `config-linux.md`, "Default Devices".
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// The devices that a step with all rights of this machine's root has as well, where the machine has them.
///
/// Source: BuildKit, `util/entitlements/security/security_linux.go`.
const MORE_DEVICES: [&str; 14] = [
    "cuse",
    "fuse",
    "kmsg",
    "kvm",
    "loop-control",
    "loop0",
    "loop1",
    "loop2",
    "loop3",
    "loop4",
    "loop5",
    "loop6",
    "loop7",
    "net/tun",
];

/// Something to mount.
#[derive(Debug)]
pub(super) struct Planned {
    /// Where, from the root of the step.
    pub(super) target: PathBuf,
    pub(super) kind: PlannedKind,
}

/// What to mount.
#[derive(Debug)]
pub(super) enum PlannedKind {
    /// A mount that is attached nowhere yet.
    Tree { tree: OwnedFd, directory: bool },
}

/// What every step sees, whatever it asks for.
#[derive(Debug)]
pub(super) struct Base {
    /// Mounted before what the step asks for.
    pub(super) devices: Vec<(&'static str, OwnedFd)>,
    /// `/sys` of this machine, where a new one is not permitted.
    pub(super) sys: OwnedFd,
}

impl Base {
    pub(super) fn prepare(insecure: bool, userns: bool) -> Result<Self, Failure> {
        let mut devices = Vec::new();
        let more: &[&str] = if insecure && !userns { &MORE_DEVICES } else { &[] };
        for name in DEVICES.iter().chain(more).copied() {
            let path = Path::new("/dev").join(name);
            // A machine without a terminal may lack /dev/tty.
            if path.exists() {
                devices.push((name, tree(&path)?));
            }
        }
        let sys = tree(Path::new("/sys"))?;
        let read_only = if insecure { 0 } else { libc::MOUNT_ATTR_RDONLY };
        restrict(&sys, read_only | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC)?;
        Ok(Self { devices, sys })
    }
}

/// The name of the machine that a step sees, as BuildKit gives it.
pub(super) fn hostname(step: &Step) -> String {
    step.hostname.clone().unwrap_or_else(|| "buildkitsandbox".to_owned())
}

/// `/etc/resolv.conf` and `/etc/hosts`: this machine's name servers, and the names that the step is given.
pub(super) fn network_files(step: &Step, folder: &Path) -> Result<Vec<Planned>, Failure> {
    let resolvers = fs::read("/etc/resolv.conf").unwrap_or_default();
    let mut hosts =
        format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", hostname(step));
    for (name, address) in &step.extra_hosts {
        hosts.extend([&address.to_string(), "\t", name, "\n"]);
    }
    let mut planned = Vec::new();
    for (name, bytes) in [("resolv.conf", resolvers), ("hosts", hosts.into_bytes())] {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(Failure::system(format!("write {}", path.display())))?;
        let tree = tree(&path)?;
        restrict(&tree, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID)?;
        let kind = PlannedKind::Tree { tree, directory: false };
        planned.push(Planned { target: Path::new("/etc").join(name), kind });
    }
    Ok(planned)
}

/// A copy of what is mounted at a path, attached nowhere.
pub(super) fn tree(path: &Path) -> Result<OwnedFd, Failure> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).map_err(Failure::system(format!("use {}", path.display())))
}

/// Restricts such a copy.
pub(super) fn restrict(tree: &OwnedFd, attributes: u64) -> Result<(), Failure> {
    use std::os::fd::AsFd as _;
    restrict_mount(tree.as_fd(), attributes).map_err(Failure::system("restrict a mount"))
}

//! The root file system of a step, from within its own namespaces.
//!
//! Sources: moby's `oci/defaults.go` for what is mounted, masked and read-only; runc's `rootfs_linux.go` for the way
//! to change the root.

use std::{
    fs, io,
    os::{fd::AsFd as _, unix::fs::symlink},
    path::Path,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::stat::{Mode, umask},
    unistd::{chdir, chroot, fchdir, pivot_root},
};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::{
    birth::{Birth, Told, tell},
    plan::{Planned, PlannedKind},
    stubs::Places,
    system::restrict_mount,
};

/// What a step must not see.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];
/// What a step must not change.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// The links in `/dev`.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

/// Mounts everything and makes the step's root the root of this process.
pub(super) fn enter(birth: &mut Birth) -> Result<(), Told> {
    // The old root stays until the new /proc is there: a user namespace may mount one only where it sees another.
    let old = fs::File::open("/").map_err(tell("open the root"))?;
    chroot(&birth.root).map_err(tell("enter the root file system"))?;
    chdir("/").map_err(tell("enter the root file system"))?;
    umask(Mode::empty());
    let mut places =
        birth.made.try_clone().and_then(Places::new).map_err(tell("look at the root file system"))?;
    base(birth, &mut places)?;
    for planned in &birth.mounts {
        attach(planned, &mut places)?;
    }
    fchdir(&old).map_err(tell("go back to the root"))?;
    chroot(".").map_err(tell("go back to the root"))?;
    chdir(&birth.root).map_err(tell("enter the root file system"))?;
    pivot_root(".", ".").map_err(tell("change the root"))?;
    fchdir(&old).map_err(tell("go back to the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(tell("leave the old root"))?;
    chdir("/").map_err(tell("enter the root file system"))
}

fn base(birth: &Birth, places: &mut Places) -> Result<(), Told> {
    let strict = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    own(places, "/proc", "proc", strict, "")?;
    let sys = places.make(Path::new("/sys"), true).map_err(tell("make /sys"))?;
    let read_only = strict | MsFlags::MS_RDONLY;
    let of_sys = if birth.insecure { strict } else { read_only };
    if mount(Some("sysfs"), &sys, Some("sysfs"), of_sys, None::<&str>).is_err() {
        // The network namespace is not the user namespace's.
        place(&birth.base.sys, &sys, "/sys")?;
    }
    let dev = places.make(Path::new("/dev"), true).map_err(tell("make /dev"))?;
    let mut device_flags = MsFlags::MS_NOSUID | MsFlags::MS_STRICTATIME;
    if !birth.insecure {
        device_flags |= MsFlags::MS_NODEV;
    }
    mount(Some("tmpfs"), &dev, Some("tmpfs"), device_flags, Some("mode=755,size=65536k"))
        .map_err(tell("mount /dev"))?;
    for (name, tree) in &birth.base.devices {
        let path = dev.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(tell("make a folder of devices"))?;
        fs::File::create(&path).map_err(tell("make a device"))?;
        place(tree, &path, name)?;
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name)).map_err(tell("make a link in /dev"))?;
    }
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    own(places, "/dev/pts", "devpts", quiet, "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    own(places, "/dev/shm", "tmpfs", strict, &format!("mode=1777,size={}", birth.shm_size))?;
    own(places, "/dev/mqueue", "mqueue", strict, "")?;
    if birth.insecure {
        return Ok(());
    }
    for path in MASKED {
        let path = Path::new(path);
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => {
                mount(Some("tmpfs"), path, Some("tmpfs"), read_only, Some("size=0,mode=555"))
                    .map_err(tell("hide a directory"))?;
            }
            Ok(_) => {
                let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                let null =
                    open_tree(rustix::fs::CWD, "/dev/null", flags).map_err(tell("copy the null device"))?;
                place(&null, path, "the null device")?;
            }
            Err(_) => {}
        }
    }
    for path in READ_ONLY {
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let Ok(tree) = open_tree(rustix::fs::CWD, path, flags) else { continue };
        restrict_mount(tree.as_fd(), libc::MOUNT_ATTR_RDONLY).map_err(tell("restrict /proc"))?;
        place(&tree, Path::new(path), path)?;
    }
    Ok(())
}

/// Mounts a file system that belongs to the namespaces of the step.
fn own(
    places: &mut Places,
    target: &str,
    kind: &'static str,
    flags: MsFlags,
    options: &str,
) -> Result<(), Told> {
    let path = places.make(Path::new(target), true).map_err(tell(target))?;
    mount(Some(kind), &path, Some(kind), flags, Some(options)).map_err(tell(format!("mount {target}")))
}

fn attach(planned: &Planned, places: &mut Places) -> Result<(), Told> {
    let name = planned.target.display();
    let make = |places: &mut Places, directory| {
        places.make(&planned.target, directory).map_err(tell(format!("make {name}")))
    };
    match &planned.kind {
        PlannedKind::Tree { tree, directory } => {
            let path = make(places, *directory)?;
            place(tree, &path, &name.to_string())
        }
    }
}

/// Attaches a mount at a path.
fn place(tree: &std::os::fd::OwnedFd, path: &Path, name: &str) -> Result<(), Told> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree, "", rustix::fs::CWD, path, flags)
        .map_err(io::Error::from)
        .map_err(tell(format!("mount {name}")))
}

//! Root file systems made of layers: overlays, or copies where the kernel mounts none.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::chdir,
};

use rustix::{
    fs::CWD,
    mount::{MoveMountFlags, move_mount},
};

use super::{copy, memory, plan};
use crate::session::error::Failure;

/// The most layers of one overlay.
///
/// Source: Linux, `fs/overlayfs/params.h`, `OVL_MAX_STACK`.
pub(super) const MOST_LAYERS: usize = 500;

/// How layers become a root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Whether this is a user namespace, where overlays note things in other extended attributes.
    pub(super) userns: bool,
    /// Whether each snapshot holds everything that those below it hold too, and is copied.
    pub(super) copy: bool,
}

/// Where the changes of the overlay `name` go.
pub(super) fn upper(scratch: &Path, name: &str) -> PathBuf {
    scratch.join(name).join("upper")
}

/// A mounted root file system. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct Overlay {
    root: PathBuf,
}

impl Overlay {
    /// Mounts `lower` directories, bottom first. What belongs to the mount is in the scratch folder, below a `name` that
    /// only this overlay has. With `writable`, changes go to [`upper`] there.
    ///
    /// This process works in another directory afterwards: the paths of many layers are too long for one call unless
    /// they are relative.
    pub(super) fn mount(
        scratch: &Path,
        name: &str,
        lower: &[PathBuf],
        writable: bool,
        form: Form,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::system("prepare an overlay")(error);
        let (folder, upper) = (memory::folder(scratch).join(name), upper(scratch, name));
        let root = folder.join("root");
        fs::create_dir_all(&root).map_err(failed)?;
        if form.copy {
            return Self::copy(&upper, root, lower, writable);
        }
        let mut names = Vec::new();
        for (number, path) in lower.iter().enumerate().rev() {
            symlink(path, folder.join(number.to_string())).map_err(failed)?;
            names.push(number.to_string());
        }
        if !writable && names.len() < 2 {
            // One directory alone is no overlay.
            fs::create_dir(folder.join("empty")).map_err(failed)?;
            names.push("empty".to_owned());
        }
        let mut options = format!("lowerdir={},index=off,xino=off,metacopy=off", names.join(":"));
        if writable {
            for (name, path) in [("upper", upper.clone()), ("work", upper.with_file_name("work"))] {
                fs::create_dir_all(&path).and_then(|()| symlink(&path, folder.join(name))).map_err(failed)?;
            }
            options += ",upperdir=upper,workdir=work";
        }
        options += if form.userns { ",userxattr" } else { ",redirect_dir=off" };
        chdir(&folder).map_err(Failure::system("change the directory"))?;
        let overlay = |options: &str| {
            let source = Some("overlay");
            mount(source, &root, source, MsFlags::MS_NODEV, Some(options))
        };
        // Nothing here has to survive a power failure, and syncing takes longer than most steps.
        let mounted = match overlay(&format!("{options},volatile")) {
            Err(Errno::EINVAL) => overlay(&options),
            other => other,
        };
        mounted.map_err(Failure::system("mount an overlay"))?;
        Ok(Self { root })
    }

    /// A copy of the uppermost snapshot, or, where nothing is written, the snapshot itself.
    fn copy(upper: &Path, root: PathBuf, lower: &[PathBuf], writable: bool) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::system("copy a root file system")(error);
        let from = lower.last().map_or(upper, PathBuf::as_path);
        let shown = if writable {
            fs::create_dir_all(upper).map_err(failed)?;
            let (source, target) = (File::open(from).map_err(failed)?, File::open(upper).map_err(failed)?);
            copy::directory(&source, &target).map_err(failed)?;
            upper
        } else {
            from
        };
        let tree = plan::tree(shown)?;
        let read_only = if writable { 0 } else { libc::MOUNT_ATTR_RDONLY };
        plan::restrict(&tree, libc::MOUNT_ATTR_NODEV | read_only)?;
        move_mount(&tree, "", CWD, &root, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(Failure::system("mount a root file system"))?;
        Ok(Self { root })
    }

    /// Where it is mounted.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // It goes with this process in any case.
        let _ = umount2(&self.root, MntFlags::MNT_DETACH);
    }
}

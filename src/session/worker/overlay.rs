//! Overlay file systems.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::chdir,
};

use crate::session::error::Failure;

/// The most layers of one overlay.
///
/// Source: Linux, `fs/overlayfs/params.h`, `OVL_MAX_STACK`.
pub(super) const MOST_LAYERS: usize = 500;

/// A mounted overlay. Dropping it unmounts it.
#[derive(Debug)]
pub(super) struct Overlay {
    root: PathBuf,
}

impl Overlay {
    /// Mounts `lower` directories, bottom first, in `folder`, a new folder for this overlay alone.
    /// With `writable`, changes go to the directory `upper` of the folder.
    ///
    /// This process works in another directory afterwards: the paths of many layers are too long for one call unless
    /// they are relative.
    pub(super) fn mount(
        folder: &Path,
        lower: &[PathBuf],
        writable: bool,
        userns: bool,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::system("prepare an overlay")(error);
        let root = folder.join("root");
        fs::create_dir_all(&root).map_err(failed)?;
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
            for name in ["upper", "work"] {
                fs::create_dir_all(folder.join(name)).map_err(failed)?;
            }
            options += ",upperdir=upper,workdir=work";
        }
        options += if userns { ",userxattr" } else { ",redirect_dir=off" };
        chdir(folder).map_err(Failure::system("change the directory"))?;
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

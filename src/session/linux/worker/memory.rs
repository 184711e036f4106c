//! What a helper needs only while it works: kept in memory, and gone with its mount namespace.
//!
//! A file system takes longer to make and remove a dozen small files than many steps take for everything else. Secrets
//! are here as well, so that they are never on a disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::mount::{MsFlags, mount};

use crate::session::error::Failure;

/// Mounts a file system in memory below a scratch folder.
pub(super) fn open(scratch: &Path) -> Result<(), Failure> {
    let folder = folder(scratch);
    fs::create_dir(&folder).map_err(Failure::system(format!("make {}", folder.display())))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), &folder, Some("tmpfs"), flags, Some("mode=0700"))
        .map_err(Failure::system("mount a file system in memory"))
}

/// Where it is mounted.
pub(super) fn folder(scratch: &Path) -> PathBuf {
    scratch.join("memory")
}

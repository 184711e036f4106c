//! Folders for temporary files, one a process.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::error::{StoreError, at};
use crate::{
    held::{self, Held},
    removal::remove_folder,
};

/// This process's folder for temporary files, locked while the process lives.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) folder: PathBuf,
    /// Absent where the folder is another process's to remove.
    pub(super) lock: Option<Held>,
}

impl Scratch {
    /// Makes a folder below `parent`, and removes those of processes that are gone.
    #[cfg(windows)]
    pub(super) fn open(parent: &Path) -> Result<Self, StoreError> {
        sweep(parent);
        loop {
            // Windows renames no folder in which a file is open, so that it has its final name from the beginning.
            let new = tempfile::Builder::new().prefix(LIVE).tempdir_in(parent);
            let new = new.map_err(at("make a folder in", parent))?;
            let lock = held::hold(new.path()).map_err(at("hold", new.path()))?;
            // Whoever removes old ones may have been quicker.
            if lock.is_some() && new.path().exists() {
                return Ok(Self { folder: new.keep(), lock });
            }
        }
    }

    /// Makes a folder below `parent`, and removes those of processes that are gone.
    #[cfg(unix)]
    pub(super) fn open(parent: &Path) -> Result<Self, StoreError> {
        sweep(parent);
        // The folder gets its final name only when it is locked, so no sweep can take it in between.
        let new = tempfile::Builder::new()
            .prefix(NEW)
            .tempdir_in(parent)
            .map_err(at("make a folder in", parent))?;
        let path = new.path().join("lock");
        let lock = fs::File::create(&path).map_err(at("make", &path))?;
        let lock = held::Lock::wait(lock).map_err(at("lock", &path))?;
        let new = new.keep();
        let name = new.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = parent.join(name.replacen(NEW, LIVE, 1));
        fs::rename(&new, &folder).map_err(at("rename", &new))?;
        Ok(Self { folder, lock: Some(lock) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // Windows moves no folder in which a file is open. Whoever sees it unlocked now does the same.
            drop(lock);
            discard(&self.folder);
        }
    }
}

/// How the name of a locked folder begins.
const LIVE: &str = "p-";
/// How the name of a folder begins that is about to be locked.
const NEW: &str = "new-";
/// How the name of a folder begins that nobody needs any more.
const OLD: &str = "old-";

/// Removes the temporary folders of processes that are gone. What cannot be removed now is left for the
/// next process: it takes space and does no other harm.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let folder = entry.path();
        let name = entry.file_name();
        match name.to_str() {
            Some(name) if name.starts_with(LIVE) && is_free(&folder) => discard(&folder),
            Some(name) if name.starts_with(NEW) => {
                let made = entry.metadata().and_then(|metadata| metadata.modified());
                if made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > Duration::from_hours(1))) {
                    discard(&folder);
                }
            }
            Some(name) if name.starts_with(OLD) => {
                let _ = remove_folder(&folder);
            }
            _ => {}
        }
    }
}

/// Whether the process of a folder is gone.
#[cfg(unix)]
fn is_free(folder: &Path) -> bool {
    matches!(fs::File::open(folder.join("lock")).and_then(held::Lock::attempt), Ok(Some(_)))
}

/// Whether the process of a folder is gone.
#[cfg(windows)]
fn is_free(folder: &Path) -> bool {
    matches!(held::hold(folder), Ok(Some(_)))
}

/// Removes a folder under a name that says that nobody needs it: a removal that is killed, or that meets a process
/// which still writes there while it dies, may take the lock away and leave the rest.
fn discard(folder: &Path) {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let old = folder.with_file_name(format!("{OLD}{name}"));
    if fs::rename(folder, &old).is_ok() {
        let _ = remove_folder(&old);
    }
}

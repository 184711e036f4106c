//! Moves a tree of files into a folder in which something may be.
//!
//! Every name is looked up in the directory that holds it, by a handle on that directory, and no symbolic link is
//! followed: one that stands in the way is replaced like a file.

use std::{
    ffi::OsString,
    fs,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, openat, renameat, statat,
        unlinkat,
    },
    io::Errno,
};

use super::error::OutputError;

/// How a directory is opened: only if it is one.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Moves everything in `from` to `to`, on the same file system. Directories that both have are put together.
pub(super) fn merge(from: &Path, to: &Path) -> Result<(), OutputError> {
    let root = rustix::fs::open(to, DIRECTORY, Mode::empty()).map_err(|errno| io(to, errno))?;
    let mut open = vec![PathBuf::new()];
    let mut shared = Vec::new();
    while let Some(path) = open.pop() {
        let (source, target) = (from.join(&path), to.join(&path));
        let old = rustix::fs::open(&source, DIRECTORY, Mode::empty()).map_err(|errno| io(&source, errno))?;
        let new = descend(&root, &path).map_err(|errno| io(&target, errno))?;
        for entry in fs::read_dir(&source).map_err(OutputError::io(&source))? {
            let entry = entry.map_err(OutputError::io(&source))?;
            let name: OsString = entry.file_name();
            let kind = entry.file_type().map_err(OutputError::io(&source))?;
            let there = statat(&new, &name, AtFlags::SYMLINK_NOFOLLOW);
            let stands = there.ok().map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            match (kind.is_dir(), stands) {
                (true, Some(true)) => {
                    let metadata = entry.metadata().map_err(OutputError::io(&source))?;
                    shared.push((path.join(&name), metadata));
                    open.push(path.join(&name));
                    continue;
                }
                (true, Some(false)) => {
                    unlinkat(&new, &name, AtFlags::empty())
                        .map_err(|errno| io(&target.join(&name), errno))?;
                }
                (false, Some(true)) => unlinkat(&new, &name, AtFlags::REMOVEDIR)
                    .map_err(|_| OutputError::InTheWay { path: target.join(&name) })?,
                (_, Some(false) | None) => {}
            }
            renameat(&old, &name, new.as_fd(), &name).map_err(|errno| io(&target.join(&name), errno))?;
        }
    }
    // A directory gets its time when nothing is put into it any more.
    for (path, metadata) in shared.into_iter().rev() {
        let shown = to.join(&path);
        let directory = descend(&root, &path).map_err(|errno| io(&shown, errno))?;
        let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() };
        let times = Timestamps { last_access: time, last_modification: time };
        let mode = Mode::from_raw_mode(metadata.permissions().mode() & 0o7777);
        fchmod(&directory, mode)
            .and_then(|()| futimens(&directory, &times))
            .map_err(|errno| io(&shown, errno))?;
    }
    Ok(())
}

/// A handle on a directory below `root`, through directories alone.
fn descend(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mut at = openat(root, ".", DIRECTORY, Mode::empty())?;
    for name in path {
        at = openat(&at, name, DIRECTORY, Mode::empty())?;
    }
    Ok(at)
}

fn io(path: &Path, errno: Errno) -> OutputError {
    OutputError::Io { path: path.to_owned(), source: errno.into() }
}

//! What is made and removed in directories.

use std::{
    fs::{File, FileTimes},
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsMaybeDirExt as _};
use cap_std::fs::{OpenOptions, OpenOptionsExt as _};
use windows_sys::Win32::Storage::FileSystem::FILE_WRITE_ATTRIBUTES;

use super::{
    Finish, Refused,
    windows::{Folder, Name},
};

/// What Windows says to somebody who may make no symbolic links.
const ERROR_PRIVILEGE_NOT_HELD: i32 = 1314;

impl Folder {
    /// Makes a directory.
    pub(crate) fn make_directory(&self, name: &Name, _: u32) -> Result<(), Refused> {
        Ok(self.0.create_dir(&name.0)?)
    }

    /// Makes a file.
    pub(crate) fn make_file(&self, name: &Name) -> Result<File, Refused> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No);
        Ok(self.0.open_with(&name.0, &options)?.into_std())
    }

    /// Makes a symbolic link. Windows wants to know whether it leads to a directory: that is so where one is there.
    pub(crate) fn make_link(&self, name: &Name, target: &[u8], _: Finish) -> Result<(), Refused> {
        let target = String::from_utf8_lossy(target).replace('/', "\\");
        // What leads out cannot be looked at, and is a link to a file.
        let made = match self.0.metadata(&target) {
            Ok(there) if there.is_dir() => self.0.symlink_dir(&target, &name.0),
            _ => self.0.symlink_file(&target, &name.0),
        };
        made.map_err(|error| match error.raw_os_error() {
            Some(ERROR_PRIVILEGE_NOT_HELD) => {
                let reason = "Windows lets only administrators and developer mode make symbolic links; write a tar \
                              archive instead (type=tar)";
                Refused::Io(io::Error::new(io::ErrorKind::PermissionDenied, reason))
            }
            _ => error.into(),
        })
    }

    /// There are none in directories.
    #[expect(clippy::unused_self, reason = "it is the same everywhere")]
    pub(crate) fn make_pipe(&self, _: &Name, _: Finish) -> Result<(), Refused> {
        let reason = "Windows has no named pipes among its files";
        Err(Refused::Io(io::Error::new(io::ErrorKind::Unsupported, reason)))
    }

    /// Gives a file another name, in `to`.
    pub(crate) fn link(&self, name: &Name, to: &Self, new: &Name) -> Result<(), Refused> {
        Ok(self.0.hard_link(&name.0, &to.0, &new.0)?)
    }

    /// Moves something to another name, in `to`. A file that has it already goes.
    pub(crate) fn rename(&self, name: &Name, to: &Self, new: &Name) -> Result<(), Refused> {
        Ok(self.0.rename(&name.0, &to.0, &new.0)?)
    }

    /// Removes anything but a directory in which something is. What is not there is no error.
    pub(crate) fn clear(&self, name: &Name) -> Result<(), Refused> {
        let removed = match self.0.symlink_metadata(&name.0) {
            Ok(there) if there.is_dir() => self.0.remove_dir(&name.0),
            Ok(_) => self.0.remove_file_or_symlink(&name.0),
            Err(error) => Err(error),
        };
        match removed.map_err(Refused::from) {
            Err(Refused::Missing) => Ok(()),
            removed => removed,
        }
    }

    /// Gives this directory its times.
    pub(crate) fn finish(&self, finish: Finish) -> Result<(), Refused> {
        self.set_times(".", finish)
    }

    /// Gives what is at a name its times; a symbolic link keeps those of its making.
    pub(crate) fn finish_at(&self, name: &Name, is_link: bool, finish: Finish) -> Result<(), Refused> {
        if is_link { Ok(()) } else { self.set_times(&name.0, finish) }
    }

    fn set_times(&self, path: &str, finish: Finish) -> Result<(), Refused> {
        let path = if path.is_empty() { "." } else { path };
        let mut options = OpenOptions::new();
        options.access_mode(FILE_WRITE_ATTRIBUTES).follow(FollowSymlinks::No).maybe_dir(true);
        finish_file(&self.0.open_with(path, &options)?.into_std(), finish)
    }
}

/// Gives an open file its times.
pub(crate) fn finish_file(file: &File, finish: Finish) -> Result<(), Refused> {
    let time = time(finish.modified);
    Ok(file.set_times(FileTimes::new().set_accessed(time).set_modified(time))?)
}

/// Everybody who may enter the folder may read what is in it.
#[expect(clippy::unnecessary_wraps, reason = "it is the same everywhere")]
pub(crate) fn share(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

fn time((seconds, nanoseconds): (i64, u32)) -> SystemTime {
    let since = Duration::new(seconds.unsigned_abs(), nanoseconds);
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
    time.unwrap_or(UNIX_EPOCH)
}

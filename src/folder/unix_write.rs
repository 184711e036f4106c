//! What is made and removed in directories.

use std::{fs::File, path::Path};

use rustix::{
    fs::{
        AtFlags, Mode, OFlags, Timespec, Timestamps, chmodat, fchmod, futimens, linkat, mkdirat, openat,
        renameat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    Finish, Refused,
    unix::{Folder, Name, name_of},
};

/// How a new file is opened.
const NEW: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// Makes a directory. This process's mask of permissions counts.
    pub(crate) fn make_directory(&self, name: &Name, mode: u32) -> Result<(), Refused> {
        Ok(mkdirat(&self.0, name, mode_of(mode))?)
    }

    /// Makes a file that only this user may read.
    pub(crate) fn make_file(&self, name: &Name) -> Result<File, Refused> {
        Ok(File::from(openat(&self.0, name, NEW, Mode::RUSR | Mode::WUSR)?))
    }

    /// Makes a symbolic link that leads to any bytes but NUL.
    pub(crate) fn make_link(&self, name: &Name, target: &[u8], finish: Finish) -> Result<(), Refused> {
        symlinkat(name_of(target), &self.0, name)?;
        Ok(utimensat(&self.0, name, &times(finish), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// There is no way to make a named pipe in a directory that is known by its handle.
    #[cfg(target_vendor = "apple")]
    #[expect(clippy::unused_self, reason = "it is the same everywhere")]
    pub(crate) fn make_pipe(&self, _: &Name, _: Finish) -> Result<(), Refused> {
        let reason = "named pipes cannot be made on macOS";
        Err(Refused::Io(std::io::Error::new(std::io::ErrorKind::Unsupported, reason)))
    }

    /// Makes a named pipe.
    #[cfg(not(target_vendor = "apple"))]
    pub(crate) fn make_pipe(&self, name: &Name, finish: Finish) -> Result<(), Refused> {
        use rustix::fs::{FileType, mknodat};
        mknodat(&self.0, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        chmodat(&self.0, name, mode_of(finish.mode), AtFlags::empty())?;
        Ok(utimensat(&self.0, name, &times(finish), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives a file another name, in `to`.
    pub(crate) fn link(&self, name: &Name, to: &Self, new: &Name) -> Result<(), Refused> {
        Ok(linkat(&self.0, name, &to.0, new, AtFlags::empty())?)
    }

    /// Moves something to another name, in `to`. A file that has it already goes.
    pub(crate) fn rename(&self, name: &Name, to: &Self, new: &Name) -> Result<(), Refused> {
        Ok(renameat(&self.0, name, &to.0, new)?)
    }

    /// Removes anything but a directory in which something is. What is not there is no error.
    pub(crate) fn clear(&self, name: &Name) -> Result<(), Refused> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives this directory its permissions and times.
    pub(crate) fn finish(&self, finish: Finish) -> Result<(), Refused> {
        fchmod(&self.0, mode_of(finish.mode))?;
        Ok(futimens(&self.0, &times(finish))?)
    }

    /// Gives what is at a name its permissions and times; a symbolic link has no permissions.
    pub(crate) fn finish_at(&self, name: &Name, is_link: bool, finish: Finish) -> Result<(), Refused> {
        if !is_link {
            chmodat(&self.0, name, mode_of(finish.mode), AtFlags::empty())?;
        }
        Ok(utimensat(&self.0, name, &times(finish), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// Gives an open file its permissions and times.
pub(crate) fn finish_file(file: &File, finish: Finish) -> Result<(), Refused> {
    fchmod(file, mode_of(finish.mode))?;
    Ok(futimens(file, &times(finish))?)
}

/// Gives what this process has just made its permissions, whatever its mask.
pub(crate) fn share(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn mode_of(mode: u32) -> Mode {
    #[allow(clippy::useless_conversion, reason = "the width of a mode differs between systems")]
    Mode::from_raw_mode((mode & 0o7777).try_into().unwrap_or(0o600))
}

fn times(finish: Finish) -> Timestamps {
    let (seconds, nanoseconds) = finish.modified;
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

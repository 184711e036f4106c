//! Directories as file descriptors.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, Stat, fgetxattr, flistxattr, major, minor, openat, readlinkat,
        statat,
    },
    io::Errno,
};

use super::{Refused, Seen};
use crate::context::{Kind, Stamp, Time, Xattr};

/// How a directory is opened: only if it is one.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How a file is opened. A pipe that took its place must not block.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
/// Linux takes names and values of extended attributes of up to 64 KiB; other systems have no limit.
const LARGEST_XATTRS: usize = 1 << 20;

/// A name in a directory.
pub(crate) type Name = CString;

/// A name for the operating system. One with a NUL cannot exist, which the empty name stands for.
pub(crate) fn name_of(name: &[u8]) -> Name {
    CString::new(name).unwrap_or_default()
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Folder(pub(super) OwnedFd);

impl Folder {
    /// The directory that a person named; only here may a link be followed.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(folder, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?))
    }

    /// The directory at an absolute path, of which no part may be a symbolic link. So it is where the path says, whatever
    /// somebody does to its parts meanwhile.
    pub(crate) fn open_exact(folder: &Path) -> io::Result<Self> {
        let mut found = None;
        for part in folder.components() {
            found = Some(match (part, found) {
                (Component::RootDir, None) => Self::open(Path::new("/"))?,
                (Component::Normal(name), Some(parent)) => {
                    Self::directory(&parent, &name_of(name.as_bytes()))?
                }
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            });
        }
        found.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    pub(crate) fn directory(&self, name: &Name) -> Result<Self, Refused> {
        Ok(Self(openat(&self.0, name, DIRECTORY, Mode::empty())?))
    }

    pub(crate) fn file(&self, name: &Name) -> Result<File, Refused> {
        Ok(File::from(openat(&self.0, name, FILE, Mode::empty())?))
    }

    pub(crate) fn stamp(&self) -> Result<Stamp, Refused> {
        Ok(stamp_of(&rustix::fs::fstat(&self.0)?))
    }

    /// What is at a name; `None` for a socket.
    pub(crate) fn look(&self, name: &Name) -> Result<Option<Seen>, Refused> {
        let stat = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => match readlinkat(&self.0, name, Vec::new()) {
                Ok(target) => Kind::Symlink { target: target.into_bytes() },
                Err(Errno::INVAL) => return Err(Refused::Replaced),
                Err(errno) => return Err(errno.into()),
            },
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        #[allow(clippy::useless_conversion, reason = "the widths of these differ between systems")]
        let (mode, links) = (u32::from(stat.st_mode) & 0o7777, u64::from(stat.st_nlink));
        let (uid, gid, stamp) = (stat.st_uid, stat.st_gid, stamp_of(&stat));
        Ok(Some(Seen { kind, mode, uid, gid, links, stamp }))
    }

    /// The names in it, in any order.
    pub(crate) fn names(&self) -> Result<Vec<Name>, Refused> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

/// What an open file is known by.
pub(crate) fn stamp(file: &File) -> Result<Stamp, Refused> {
    Ok(stamp_of(&rustix::fs::fstat(file.as_fd())?))
}

/// The extended attributes of an open file, in any order. None where the file system has none.
pub(crate) fn xattrs(file: &File) -> Result<Vec<Xattr>, Refused> {
    let mut names = vec![0_u8; 1024];
    let length = loop {
        match flistxattr(file, &mut names) {
            Ok(length) => break length,
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Err(Errno::RANGE) if names.len() < LARGEST_XATTRS => names.resize(names.len() * 4, 0),
            Err(errno) => return Err(errno.into()),
        }
    };
    let mut xattrs = Vec::new();
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let mut value = vec![0_u8; 256];
        let length = loop {
            match fgetxattr(file, name, &mut value) {
                Ok(length) => break Some(length),
                // It was removed, or this user may not read it.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => break None,
                Err(Errno::RANGE) if value.len() < LARGEST_XATTRS => value.resize(value.len() * 4, 0),
                Err(errno) => return Err(errno.into()),
            }
        };
        if let Some(length) = length {
            value.truncate(length);
            xattrs.push((name.to_bytes().to_vec(), value));
        }
    }
    Ok(xattrs)
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::Missing,
            Errno::NOTDIR | Errno::LOOP | Errno::NXIO => Self::Replaced,
            Errno::EXIST | Errno::NOTEMPTY => Self::InTheWay,
            errno => Self::Io(errno.into()),
        }
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "the types of these differ between systems; none is negative or large, but for seconds"
)]
fn stamp_of(stat: &Stat) -> Stamp {
    Stamp {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        size: stat.st_size as u64,
        modified: Time { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 },
        changed: Time { seconds: stat.st_ctime as i64, nanoseconds: stat.st_ctime_nsec as u32 },
    }
}

//! Directories by handles, as each system has them.
//!
//! Every name is looked up in the directory that holds it, by a handle on that directory, and no symbolic link is
//! followed. So what a hostile process or archive does meanwhile is an error at worst and never a way out.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_write;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
mod windows_write;

use std::{fmt, io};

#[cfg(unix)]
pub(crate) use unix::{Folder, Name, name_of, stamp, xattrs};
#[cfg(unix)]
pub(crate) use unix_write::{finish_file, share};
#[cfg(windows)]
pub(crate) use windows::{Folder, Name, name_of, stamp, xattrs};
#[cfg(windows)]
pub(crate) use windows_write::{finish_file, share};

use crate::context::{Kind, Stamp};

/// What is at a name.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// Permissions, with the setuid, setgid and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u64,
    pub(crate) stamp: Stamp,
}

/// Why something cannot be opened, looked at or changed.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nothing is there.
    Missing,
    /// Something else is there: a symbolic link, a file for a directory, a pipe for a file.
    Replaced,
    /// Something is there, and nothing should be; or something is in a directory that should be empty.
    InTheWay,
    /// The system does not let us.
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Replaced => f.write_str("something else is there"),
            Self::InTheWay => f.write_str("something is in the way"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Missing => io::ErrorKind::NotFound.into(),
            Refused::Replaced => io::ErrorKind::NotADirectory.into(),
            Refused::InTheWay => io::ErrorKind::AlreadyExists.into(),
            Refused::Io(error) => error,
        }
    }
}

/// Permissions and times that something gets when it is finished. Windows knows no such permissions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish {
    pub(crate) mode: u32,
    /// In seconds since 1970, and nanoseconds.
    pub(crate) modified: (i64, u32),
}

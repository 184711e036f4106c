//! Directories by handles, as each system has them: every name is looked up in the directory that holds it, and no
//! symbolic link is followed.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;

#[cfg(unix)]
pub(super) use unix::{Folder, Name, name_of, stamp, xattrs};
#[cfg(windows)]
pub(super) use windows::{Folder, Name, name_of, stamp, xattrs};

use super::entry::{Kind, Stamp};

/// What is at a name.
pub(super) struct Seen {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u64,
    pub(super) stamp: Stamp,
}

/// Why something cannot be opened or looked at.
#[derive(Debug)]
pub(super) enum Refused {
    /// Nothing is there.
    Missing,
    /// Something else is there: a symbolic link, a file for a directory, a pipe for a file.
    Replaced,
    /// The system does not let us.
    Io(io::Error),
}

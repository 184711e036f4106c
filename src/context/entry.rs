//! What a context says of one path.

use super::path::RelPath;

/// A point in time, as a file system keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

/// What stays the same while a file does: the key by which its digest is remembered, as in git's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The device it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content changed last, which a program can set.
    pub modified: Time,
    /// When anything of it changed last, which no program can set.
    pub changed: Time,
}

/// One file, directory or other thing in a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: RelPath,
    /// What it is.
    pub kind: Kind,
    /// Permissions, with the setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// How many names it has. Entries with the same device and inode in their stamps are hard links.
    pub links: u64,
    /// What it is known by.
    pub stamp: Stamp,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file; its length is in the stamp.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it leads: any bytes but NUL.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// The kind of device.
        major: u32,
        /// Which one of them.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The kind of device.
        major: u32,
        /// Which one of them.
        minor: u32,
    },
}

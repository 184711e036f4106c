//! What a step gave.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::oci::layer::Layer;

/// How a step went.
#[derive(Clone, Debug)]
pub struct StepOutcome {
    /// How the command ended.
    pub ended: Ended,
    /// What it changed; `None` where that is nothing, or where the command failed.
    pub layer: Option<Layer>,
    /// The entries of the layer, in its order.
    pub records: Vec<LayerRecord>,
    /// Where the time went.
    pub spent: Spent,
}

/// How long the parts of a step took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Unpacking the layers below and mounting everything.
    pub preparing: Duration,
    /// The command itself.
    pub running: Duration,
    /// Finding what it changed, and compressing and storing that.
    pub writing: Duration,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It ran longer than it may, and was killed.
    TimedOut,
    /// With this exit code, after one of its processes was killed because they took more memory than they may.
    OutOfMemory(i32),
    /// With this exit code, after one of its processes was killed because all steps of its build together took more memory
    /// than they may.
    BuildOutOfMemory(i32),
}

impl Ended {
    /// The exit code, as a shell gives it; `None` where time or memory was the end.
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(signal) => Some(128 + signal),
            Self::TimedOut | Self::OutOfMemory(_) | Self::BuildOutOfMemory(_) => None,
        }
    }
}

/// Where a command wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// To its standard output.
    Stdout,
    /// To its standard error.
    Stderr,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The path from the root of the image, without a slash at either end. A deletion has the path of what it
    /// deletes.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: RecordKind,
    /// Permissions, with the setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was modified, in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry of a layer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordKind {
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
        /// The BLAKE3 of its content.
        blake3: [u8; 32],
        /// Where its content begins in the uncompressed archive.
        offset: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link, and where it leads.
    Symlink(Vec<u8>),
    /// Another name of a file of this layer.
    HardLink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A character device, by its major and minor numbers.
    CharDevice(u32, u32),
    /// A block device, by its major and minor numbers.
    BlockDevice(u32, u32),
    /// The deletion of what layers below have at this path.
    Whiteout,
}

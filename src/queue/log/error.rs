//! What can go wrong with logs.

use std::{io, path::PathBuf};

use polyarch_actors::BuildId;

/// Why a log cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk is full.
    #[error("no space is left on the device that holds {}", path.display())]
    NoSpace {
        /// The log.
        path: PathBuf,
    },
    /// The file cannot be made, opened, written, read or removed.
    #[error("cannot use the log {}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text is no name that a build can have, and so no name of a file.
    #[error("{id} is no name of a build")]
    NoName {
        /// The text.
        id: BuildId,
    },
    /// Somebody writes the log already.
    #[error("the log of build {id} is being written already")]
    InUse {
        /// The build.
        id: BuildId,
    },
    /// The log has its end already.
    #[error("the log of build {id} has ended")]
    Ended {
        /// The build.
        id: BuildId,
    },
}

impl LogError {
    /// Whether it may be otherwise later, with nobody asking for something else.
    pub(in crate::queue) fn may_pass(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Io { .. } | Self::InUse { .. })
    }

    pub(super) fn io(path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io { path, source },
        }
    }
}

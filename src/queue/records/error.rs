//! What can go wrong with records.

use std::path::PathBuf;

use polyarch_actors::BuildId;
use rusqlite::ErrorCode;

use crate::queue::{Key, SpecFormError};

/// Why records cannot be read or changed. Nothing was changed then, unless it is said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// The database cannot be made or opened.
    #[error("cannot use {}: {reason}", path.display())]
    Unusable {
        /// The database.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file is something else.
    #[error("{} is no database of builds", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote the database.
    #[error(
        "{} is in format {found}, which a newer version of polyarch wrote (this one knows up to {known})",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this version knows.
        known: i64,
    },
    /// The disk is full.
    #[error("no space is left on the device that holds the records of builds")]
    NoSpace,
    /// The database, or its folder, may not be written.
    #[error("the records of builds cannot be written: {reason}")]
    ReadOnly {
        /// What SQLite says.
        reason: String,
    },
    /// Another process kept the database to itself for too long.
    #[error("the records of builds were held by another process for too long")]
    Busy,
    /// The file is damaged, or the disk fails.
    #[error("the records of builds are damaged: {reason}")]
    Damaged {
        /// What SQLite says.
        reason: String,
    },
    /// Something else, which should not happen.
    #[error("the records of builds failed: {reason}")]
    Failed {
        /// What SQLite says.
        reason: String,
    },
    /// The tenant has no such build.
    #[error("there is no build {id}")]
    NotFound {
        /// The build.
        id: BuildId,
    },
    /// The key belongs to another build already.
    #[error("the idempotency key {key} was given to another build already ({id}), which is not the same")]
    KeyReused {
        /// The key.
        key: Key,
        /// The build that has it.
        id: BuildId,
    },
    /// As many builds wait as may.
    #[error("there is no room for another build that waits")]
    Full,
    /// What is asked for cannot be written down.
    #[error(transparent)]
    Spec(#[from] SpecFormError),
    /// A record holds what this version does not understand.
    #[error("the record of build {id} cannot be read: {reason}")]
    Malformed {
        /// The build.
        id: BuildId,
        /// What is odd about it.
        reason: String,
    },
    /// What writes the records has ended.
    #[error("the records of builds are closed")]
    Closed,
}

impl RecordsError {
    /// Whether it may be otherwise later, with nobody asking for something else.
    pub(in crate::queue) fn may_pass(&self) -> bool {
        !matches!(self, Self::NotFound { .. } | Self::Malformed { .. } | Self::Spec(_))
    }
}

impl From<rusqlite::Error> for RecordsError {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace,
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { reason }
            }
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure) => {
                Self::Damaged { reason }
            }
            _ => Self::Failed { reason },
        }
    }
}

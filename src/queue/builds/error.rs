//! Why a queue does not do what it is asked.

use polyarch_actors::queue::{Refusal, Tenant};

use crate::queue::{BuildState, FolderError, log::LogError, records::RecordsError};

/// Why a queue of builds does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The folder cannot be used, or another process runs its builds.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The records failed, or there is no such build.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The tenant has as many builds waiting as it may.
    #[error("tenant {tenant} has {limit} builds waiting, and may not have more")]
    Full {
        /// Whose builds they are.
        tenant: Tenant,
        /// How many may wait.
        limit: usize,
    },
    /// The build asks for more than there is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is too late for that: the build has ended.
    #[error("the build has ended ({})", .0.as_str())]
    Ended(BuildState),
    /// No builds are taken any more.
    #[error("the queue is closing and takes no more builds")]
    Closing,
}

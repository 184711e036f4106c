//! What can go wrong while an image is put together.

use std::io;

use polyarch_actors::{BuildError, Place};

use crate::{
    error::with_sources,
    oci::{StoreError, layer::LayerError},
};

/// Why an image cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// The Dockerfile asks for something that is wrong or cannot be done; the place is added on the way out.
    #[error("{0}")]
    Invalid(String),
    /// The build is no longer wanted.
    #[error("the build was cancelled")]
    Cancelled,
    /// Something that says by itself where and why.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A layer or archive is not what it should be.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// Which one.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error("cannot {action}")]
    Io {
        /// What was tried, as a verb and its object.
        action: String,
        /// Why not.
        source: io::Error,
    },
}

impl EngineError {
    /// Names the action in an I/O error.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// What is wrong with `what`, which was being read; that there is no room for it is not its fault.
    pub(super) fn malformed(what: &str, error: io::Error) -> Self {
        if is_full(&error) {
            return Self::Io { action: format!("uncompress {what}"), source: error };
        }
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
            _ => error.to_string(),
        };
        Self::Malformed { what: what.to_owned(), reason }
    }

    /// What the orchestrator is told; `place` is that of the instruction.
    pub(super) fn at(self, place: &Place) -> BuildError {
        BuildError::from(self).at(place)
    }

    /// What the orchestrator is told of something that has no place in the Dockerfile but a name.
    pub(super) fn of(self, what: &str) -> BuildError {
        match self {
            Self::Invalid(reason) => BuildError::invalid(format!("{what}: {reason}")),
            error => error.into(),
        }
    }
}

impl From<EngineError> for BuildError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Invalid(reason) => Self::invalid(reason),
            EngineError::Cancelled => Self::Cancelled,
            EngineError::Build(error) => error,
            EngineError::Malformed { .. } => Self::invalid(error.to_string()),
            EngineError::Store(StoreError::Io { ref path, .. }) if matches!(&error, EngineError::Store(store) if store.is_full()) => {
                Self::NoSpace { path: path.display().to_string() }
            }
            EngineError::Io { ref source, .. } if is_full(source) => {
                Self::NoSpace { path: "the store".into() }
            }
            EngineError::Store(_) | EngineError::Io { .. } => {
                Self::Host { reason: with_sources(&error), retryable: false }
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Runs what waits for the disk or computes on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            // The actor catches it: a panic is told as one, whichever thread it happened on.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(BuildError::Host { reason: error.to_string(), retryable: true }.into()),
        },
    }
}

impl From<LayerError> for EngineError {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::Cancelled => Self::Cancelled,
            LayerError::Store(error) => Self::Store(error),
            LayerError::Compress(source) => Self::Io { action: "compress a layer".into(), source },
            error => Self::Invalid(with_sources(&error)),
        }
    }
}

//! Why a step has no outcome on Windows.

use std::{io, path::Path};

use polyarch_actors::BuildError;

use super::{compatibility::Incompatible, error::HcsError, network::NoNetwork};
use crate::{
    oci::StoreError,
    session::{SessionError, Unusable},
};

/// Why a step could not be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum HcsFailure {
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// It ran longer than it may.
    #[error("it took longer than it may")]
    TimedOut,
    /// Windows refused.
    #[error(transparent)]
    Call(#[from] HcsError),
    /// This Windows does not run that one.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// The step asks for what Windows does not have.
    #[error("{0}")]
    Refused(String),
    /// Nothing here leads to a network.
    #[error(transparent)]
    NoNetwork(#[from] NoNetwork),
    /// A layer below is not what it should be.
    #[error("layer {digest} cannot be unpacked: {reason}")]
    Layer {
        /// The blob.
        digest: String,
        /// What is wrong.
        reason: String,
    },
    /// The new layer cannot be written.
    #[error("cannot write the layer: {0}")]
    Write(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused something about files.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, beginning with a verb.
        action: String,
        /// Why not.
        source: io::Error,
    },
    /// Windows says of a process what nobody understands.
    #[error("the end of the command cannot be told from {0:?}")]
    Status(String),
}

impl HcsFailure {
    /// Names the action in an I/O error.
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// What the engine is told; `store` is where things are kept.
    pub(super) fn told(self, store: &Path) -> SessionError {
        let full = |source: &io::Error| {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        let no_space = || BuildError::NoSpace { path: store.display().to_string() };
        let told = match self {
            Self::Cancelled => return SessionError::Cancelled,
            Self::Store(error) => return SessionError::Store(error),
            Self::NoNetwork(error) => {
                let advice = error.advice().to_owned();
                return SessionError::Unusable(Unusable { reason: error.to_string(), advice });
            }
            Self::Call(error) => error.to_build_error(store),
            Self::Incompatible(_) | Self::Refused(_) | Self::Layer { .. } => {
                BuildError::invalid(self.to_string())
            }
            Self::Io { ref source, .. } if full(source) => no_space(),
            Self::Io { .. } | Self::Write(_) | Self::Status(_) | Self::TimedOut => {
                BuildError::Host { reason: self.to_string(), retryable: false }
            }
        };
        SessionError::Told(told)
    }
}

//! Why a cache cannot be read or written.

use std::sync::Arc;

use polyarch_actors::Fault;

use crate::{
    oci::{LayoutReadError, StoreError, layout::LayoutError},
    registry::RegistryError,
};

/// Why a cache cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A registry failed.
    #[error(transparent)]
    Registry(Arc<RegistryError>),
    /// A layout cannot be read.
    #[error(transparent)]
    Read(Arc<LayoutReadError>),
    /// A layout cannot be written.
    #[error(transparent)]
    Write(Arc<LayoutError>),
    /// The store failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// It was written by BuildKit.
    #[error("it is a cache of BuildKit, which knows steps by other keys")]
    BuildKit,
    /// It is an image that carries no cache.
    #[error("it is an image that carries no cache (one that was built with --cache-to type=inline does)")]
    NoCache,
    /// It is not what it should be.
    #[error("it is damaged: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody wants it any more.
    #[error("the build was cancelled")]
    Cancelled,
}

impl CacheError {
    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Registry(error) => error.fault(),
            Self::BuildKit | Self::NoCache => Fault::User,
            Self::Read(_) | Self::Write(_) | Self::Store(_) | Self::Malformed { .. } => Fault::Host,
            Self::Cancelled => Fault::Cancelled,
        }
    }

    /// Whether it is only what cancelling looks like from inside.
    pub(crate) fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled => true,
            Self::Registry(error) => matches!(**error, RegistryError::Cancelled),
            _ => false,
        }
    }
}

impl From<RegistryError> for CacheError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Arc::new(error))
    }
}

impl From<LayoutReadError> for CacheError {
    fn from(error: LayoutReadError) -> Self {
        Self::Read(Arc::new(error))
    }
}

impl From<LayoutError> for CacheError {
    fn from(error: LayoutError) -> Self {
        Self::Write(Arc::new(error))
    }
}

impl From<StoreError> for CacheError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

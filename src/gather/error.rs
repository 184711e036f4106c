//! Why what a build is made of cannot be brought here.

use std::io;

use polyarch_actors::Fault;

use crate::{
    archive::UnpackError,
    fetch::FetchError,
    oci::{LayoutReadError, StoreError},
    registry::RegistryError,
};

/// Why what a build is made of cannot be brought here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatherError {
    /// It cannot be fetched.
    #[error("cannot fetch {what}")]
    Fetch {
        /// What it is: the context, a named context, the Dockerfile.
        what: String,
        /// Why not.
        source: FetchError,
    },
    /// It is an archive that cannot be unpacked.
    #[error("cannot unpack {what}")]
    Unpack {
        /// What it is.
        what: String,
        /// Why not.
        source: UnpackError,
    },
    /// It is neither an archive nor a text.
    #[error("{what} is neither a tar archive nor the text of a Dockerfile: {reason}")]
    NeitherNor {
        /// What it is.
        what: String,
        /// Why it is no text.
        reason: String,
    },
    /// There is a Dockerfile where the context should be, and another one was named.
    #[error("{what} is the text of a Dockerfile, and -f names another: give a context, or leave -f out")]
    TwoDockerfiles {
        /// What it is.
        what: String,
    },
    /// Nothing came on standard input.
    #[error("nothing came on standard input, where the context should be")]
    Nothing,
    /// It cannot be read or written.
    #[error("cannot read {what}")]
    Read {
        /// What it is.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// An image of an OCI layout cannot be read.
    #[error("cannot use the build context {name}")]
    Layout {
        /// The named context.
        name: String,
        /// Why not.
        source: LayoutReadError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl GatherError {
    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Fetch { source, .. } => source.fault(),
            Self::Store(_)
            | Self::Unpack { source: UnpackError::Io { .. }, .. }
            | Self::Layout { source: LayoutReadError::Store(StoreError::Io { .. }), .. } => Fault::Host,
            Self::Cancelled | Self::Unpack { source: UnpackError::Cancelled, .. } => Fault::Cancelled,
            _ => Fault::User,
        }
    }

    /// Whether it is only what cancelling looks like from inside.
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::Unpack { source: UnpackError::Cancelled, .. }
                | Self::Fetch { source: FetchError::Server(RegistryError::Cancelled), .. }
        )
    }

    /// Whether the disk is full, which a person mends in another way than any other failure.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Fetch { source, .. } => source.is_full(),
            Self::Store(error) | Self::Layout { source: LayoutReadError::Store(error), .. } => {
                error.is_full()
            }
            Self::Unpack { source: UnpackError::Io { source, .. }, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

//! What can go wrong with indexes of images that exist.

use std::{path::PathBuf, time::Duration};

use polyarch_actors::Digest;

use super::merge::MergeError;
use crate::{
    error::Error,
    oci::{LayoutReadError, StoreError, layout::LayoutError},
    receipt::ReceiptError,
    registry::{PublishReport, RegistryError},
};

/// What can go wrong with indexes of images that exist.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// A receipt cannot be read.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// What a receipt is about is not to be had.
    #[error("the image of {} is gone: {digest} is neither in the store nor where it was exported or pushed to", receipt.display())]
    Gone {
        /// The receipt.
        receipt: PathBuf,
        /// The index that its build made.
        digest: Digest,
    },
    /// Nothing says where a digest is.
    #[error("{digest} is not in the store, and no name says which registry has it")]
    UnknownDigest {
        /// The digest.
        digest: Digest,
    },
    /// Something is no image, and no list of images.
    #[error("{origin}: {digest} is no image: {reason}")]
    NotAnImage {
        /// Where it is from.
        origin: String,
        /// What it is.
        digest: Digest,
        /// What is odd about it.
        reason: String,
    },
    /// The entries make no index.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A layout cannot be added to as a tag can.
    #[error("{folder} is an OCI image layout, and only names in a registry or in the store can be appended to", folder = folder.display())]
    AppendToLayout {
        /// The layout.
        folder: PathBuf,
    },
    /// Others wrote a tag again and again.
    #[error(
        "others have written {tag} {rounds} times since this merge began, and it still lacks these entries"
    )]
    Contended {
        /// The tag.
        tag: String,
        /// How often it was tried.
        rounds: u32,
    },
    /// A registry took so long to write a tag that others may not have seen it.
    #[error(
        "{tag} has these entries, but its registry took {:.1} s to write it: what others added within that time may \
         be missing, so repeat merges that ended meanwhile", took.as_secs_f64()
    )]
    Late {
        /// The tag.
        tag: String,
        /// How long it took, from the last look at the tag to the registry's answer.
        took: Duration,
    },
    /// A layout cannot be read.
    #[error(transparent)]
    Layout(#[from] LayoutReadError),
    /// A layout cannot be written.
    #[error(transparent)]
    Output(#[from] LayoutError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Not everything was published.
    #[error("not everything could be published")]
    Publish(PublishReport),
    /// A thread ended without an answer.
    #[error("a worker thread ended: {reason}")]
    Worker {
        /// How.
        reason: String,
    },
}

impl From<Error> for IndexError {
    fn from(error: Error) -> Self {
        match error {
            Error::Publish(report) => Self::Publish(report),
            Error::Registry(error) => Self::Registry(error),
            Error::Store(error) => Self::Store(error),
            error => Self::Worker { reason: error.to_string() },
        }
    }
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, IndexError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| IndexError::Worker { reason: error.to_string() })?
}

//! What can go wrong with the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use polyarch_actors::{Digest, DigestError};

use super::{format::FORMAT, store::LARGEST_DOCUMENT};

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("store: cannot {action} {path}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A newer polyarch wrote it.
    #[error(
        "the store {path} has format {found}, and this polyarch reads format {FORMAT}: use the newer polyarch that \
         wrote it, or name another store with --store"
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The directory is something else.
    #[error("{path} is no polyarch store: {reason}")]
    NoStore {
        /// The directory.
        path: PathBuf,
        /// What is odd about it.
        reason: String,
    },
    /// A blob that was expected is not there.
    #[error("the store has no blob {0}")]
    Missing(Digest),
    /// Content does not have the digest it should have.
    #[error("{path} has digest {found}, not {expected}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The digest by which it was looked for.
        expected: Digest,
        /// The digest of what it holds.
        found: Digest,
    },
    /// A document is larger than any that is accepted.
    #[error("{digest} has {size} bytes, more than the {LARGEST_DOCUMENT} that a manifest or config may have")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its length.
        size: u64,
    },
    /// A document is not what it should be.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing in the store has that name.
    #[error("no image named {0} in the store (polyarch images lists what is there)")]
    UnknownName(String),
    /// A name that should be new is in use.
    #[error("the name {0} is in use (polyarch manifest rm {0} removes it)")]
    NameTaken(String),
    /// A name points at a single image where an index is needed.
    #[error("{0} is a single image, not a manifest list")]
    NoIndex(String),
    /// An index has no such entry.
    #[error("the manifest list {index} has no entry {entry}")]
    NoEntry {
        /// The index's name.
        index: String,
        /// The entry that was looked for.
        entry: String,
    },
    /// A digest has the wrong form.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl StoreError {
    /// Whether the disk is full, which a person mends in another way than any other failure.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// Names the action and the path in an I/O error.
pub(crate) fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

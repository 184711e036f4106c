//! Why a layer cannot be written.

use std::io;

use crate::oci::StoreError;

/// Why a layer cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A name that no layer may hold.
    #[error("a layer cannot hold {name:?}: {reason}")]
    Name {
        /// The name or the target of a link.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// Its name in the layer.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// A file has fewer bytes than it had.
    #[error("{name} became shorter while it was read: {found} bytes instead of {expected}")]
    Shrank {
        /// Its name in the layer.
        name: String,
        /// Its length before.
        expected: u64,
        /// What it held in the end.
        found: u64,
    },
    /// A file has more bytes than it had.
    #[error("{name} became longer than {expected} bytes while it was read")]
    Grew {
        /// Its name in the layer.
        name: String,
        /// Its length before.
        expected: u64,
    },
    /// The compressor gave up.
    #[error("cannot compress")]
    Compress(#[source] io::Error),
    /// No thread can be had.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// An entry failed before, so the layer is not whole.
    #[error("an entry could not be written, so there is no layer")]
    Broken,
}

//! Why there is no layer of what Windows exported.

use std::io;

use super::super::{
    backup::{AttributeError, BackupError, ReparseError},
    path::{LayerPath, UnfitPath},
    tombstones::TombstonesError,
};
use crate::oci::layer::LayerError;

/// Why there is no layer of what Windows exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder cannot be read.
    #[error("cannot read {path} of the export")]
    Read {
        /// What cannot be read.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A name that is no Unicode, as Windows allows it and archives do not.
    #[error("{0} has a name that is no Unicode, so no layer can hold it")]
    Name(String),
    /// A name that no layer holds.
    #[error(transparent)]
    Path(#[from] UnfitPath),
    /// Something in the folder that exports do not have.
    #[error("the export holds {0}, which is no part of a layer")]
    Unknown(String),
    /// What is deleted cannot be read.
    #[error(transparent)]
    Tombstones(#[from] TombstonesError),
    /// The streams of a file are malformed.
    #[error("{path} has a malformed backup stream")]
    Backup {
        /// The file.
        path: LayerPath,
        /// What is wrong with it.
        source: BackupError,
    },
    /// Streams in an order or of a kind that files do not have.
    #[error("{path} has {what}")]
    Streams {
        /// The file.
        path: LayerPath,
        /// What is odd.
        what: &'static str,
    },
    /// The extended attributes of a file are malformed.
    #[error("{path} has extended attributes that no layer can hold")]
    ExtendedAttributes {
        /// The file.
        path: LayerPath,
        /// What is wrong with them.
        source: AttributeError,
    },
    /// A link that no layer can hold.
    #[error("{path} is a link that no layer can hold")]
    Link {
        /// The link.
        path: LayerPath,
        /// What is wrong with it.
        source: ReparseError,
    },
    /// Something is below a link.
    #[error("{0} is below a link")]
    BelowLink(LayerPath),
    /// A directory was deleted and made again.
    #[error("{0} is a directory that was deleted and made again, which no layer of Windows can say")]
    MadeAgain(LayerPath),
    /// The files have more bytes than a layer may.
    #[error("{0} makes the layer larger than any may be")]
    TooLarge(LayerPath),
    /// The layer cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

//! Why a layer cannot be put on a disk.

use std::io;

use super::super::{
    backup::{AttributeError, BackupError, ReparseError},
    path::{LayerPath, UnfitPath},
};

/// Why a layer cannot be put on a disk of Windows.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive is malformed, or holds too much.
    #[error("cannot read the layer")]
    Archive(#[source] io::Error),
    /// A name that Windows cannot have.
    #[error(transparent)]
    Path(#[from] UnfitPath),
    /// A name that leads out of the layer.
    #[error("{0} leads out of the layer")]
    LeadsOut(String),
    /// A member that is of no part of a layer.
    #[error("{0} is neither below Files nor Hives nor UtilityVM\\Files")]
    Outside(LayerPath),
    /// Two members are one file on Windows.
    #[error("{0} is in the layer twice, as Windows compares names")]
    Twice(LayerPath),
    /// A member whose directory is not in the layer.
    #[error("{0} is in no directory of the layer")]
    NoParent(LayerPath),
    /// A member behind a link or a file.
    #[error("{path} is below {parent}, which is no directory")]
    NotInDirectory {
        /// The member.
        path: LayerPath,
        /// What is no directory.
        parent: LayerPath,
    },
    /// A further stream that does not come right behind its file.
    #[error("{0} is a stream of a file that does not come right before it")]
    LostStream(String),
    /// A stream whose name Windows cannot have, or which is there twice.
    #[error("{path} has a stream {stream:?}, which Windows cannot have")]
    Stream {
        /// The file.
        path: LayerPath,
        /// The name.
        stream: String,
    },
    /// A thing that Windows does not have.
    #[error("{0} is a named pipe or a device, and Windows has none among its files")]
    Kind(LayerPath),
    /// What a member says for Windows.
    #[error("{path} has a malformed {record}")]
    Record {
        /// The member.
        path: LayerPath,
        /// The name of the record.
        record: String,
    },
    /// A security descriptor that only Windows can read.
    #[error(
        "{0} has a security descriptor as text (MSWINDOWS.sd), which builders have not written since 2017"
    )]
    SecurityText(LayerPath),
    /// The attributes of a member are of something else than it is.
    #[error("{0} is no directory, but has the attributes of one")]
    Attributes(LayerPath),
    /// Extended attributes that Windows cannot have.
    #[error("{path} has extended attributes that Windows does not take")]
    ExtendedAttributes {
        /// The member.
        path: LayerPath,
        /// What is wrong with them.
        source: AttributeError,
    },
    /// A link that Windows cannot have.
    #[error("{path} is a link that Windows does not take")]
    Link {
        /// The member.
        path: LayerPath,
        /// What is wrong with it.
        source: ReparseError,
    },
    /// A stream that no header can describe.
    #[error("{path} has a stream that Windows does not take")]
    Backup {
        /// The member.
        path: LayerPath,
        /// What is wrong with it.
        source: BackupError,
    },
    /// A hard link to what is no file of an image.
    #[error("{path} is a hard link to {target}, which is no file that layers link to")]
    LinkTarget {
        /// The link.
        path: LayerPath,
        /// Where it leads.
        target: LayerPath,
    },
    /// The lowest layer of an image has nothing to delete.
    #[error("{0} is deleted by the lowest layer of an image")]
    DeletedInBase(LayerPath),
    /// Hives are changed and not deleted.
    #[error("{0} is deleted, and layers delete below Files and UtilityVM\\Files only")]
    Deleted(LayerPath),
    /// A directory that is deleted and made again in one layer, which Windows has no form for.
    #[error("{0} is a directory that the layer deletes and makes again, which layers of Windows cannot")]
    MadeAgain(LayerPath),
    /// The disk does not take it.
    #[error("cannot make {path}")]
    Sink {
        /// What cannot be made.
        path: LayerPath,
        /// Why not.
        source: io::Error,
    },
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

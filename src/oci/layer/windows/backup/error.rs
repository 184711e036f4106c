//! What is wrong with a row of streams.

use std::io;

use super::header::StreamKind;

/// What is wrong with a row of streams.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be read.
    #[error("cannot read a backup stream")]
    Read(#[from] io::Error),
    /// It ends where more must come.
    #[error("a backup stream is cut off")]
    CutOff,
    /// A stream is of no kind that Windows has.
    #[error("a backup stream is of the unknown kind {0}")]
    Kind(u32),
    /// A name is longer than any, or is no whole number of letters.
    #[error("the name of a backup stream takes {0} bytes")]
    NameLength(u32),
    /// A name is no text.
    #[error("the name of a backup stream is no Unicode")]
    Name,
    /// Only alternate streams have names.
    #[error("a backup stream of the kind {0:?} has a name")]
    Named(StreamKind),
    /// A length or a place in a file is beyond what Windows counts.
    #[error("a backup stream says that it has {0} bytes")]
    Size(u64),
    /// What is read as a whole is longer than Windows takes it.
    #[error("a backup stream of the kind {kind:?} has {size} bytes, and Windows takes {most}")]
    TooLong {
        /// What it is.
        kind: StreamKind,
        /// Its length.
        size: u64,
        /// The most there can be.
        most: u64,
    },
}

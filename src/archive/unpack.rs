//! Unpacks an archive that nobody vouches for into a folder.
//!
//! Owners and extended attributes are not kept, as COPY sets the first and a context brings none of the second; modes
//! and times are.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::{compression::decompress_within, limits::Limits, place::Place, reader::Archive, sparse::Sparse};
use crate::context::RelPath;

/// How much is copied at once, in bytes.
pub(crate) const PIECE: usize = 128 << 10;

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// How many members.
    pub members: usize,
    /// How many devices were left out: only root could make them, and no build needs them.
    pub devices: usize,
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is malformed, cut off, holds more than it may, or is not meant well.
    #[error("{reason}")]
    Odd {
        /// What is wrong with it.
        reason: String,
    },
    /// A member cannot be unpacked as it is.
    #[error("its member {member} {reason}")]
    Member {
        /// The member.
        member: RelPath,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {action} {} while unpacking", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Unpacks the archive `source`, compressed or not, into the directory `folder`.
///
/// What was unpacked before an error stays in the folder.
pub fn unpack(
    source: impl Read + Send + 'static,
    folder: &Path,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<Unpacked, UnpackError> {
    let source = decompress_within(source, limits).map_err(odd)?;
    let mut place = Place::open(folder)?;
    let mut archive = Archive::within(source, limits);
    let mut done = Unpacked::default();
    let mut buffer: Box<[u8]> = vec![0; PIECE].into();
    while let Some(member) = archive.next_member().map_err(odd)? {
        check(cancel)?;
        done.members += 1;
        let path = place.shown(&member.path);
        let made = place.take(&member, |file| fill(&mut archive, file, &path, &mut buffer, cancel))?;
        done.devices += usize::from(!made);
    }
    place.finish()?;
    Ok(done)
}

fn check(cancel: &CancellationToken) -> Result<(), UnpackError> {
    if cancel.is_cancelled() { Err(UnpackError::Cancelled) } else { Ok(()) }
}

/// Copies the bytes of a file; `path` is for errors.
pub(crate) fn fill(
    archive: &mut impl Read,
    file: &File,
    path: &Path,
    buffer: &mut [u8],
    cancel: &CancellationToken,
) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Io { action: "write", path: path.to_owned(), source };
    let mut to = Sparse::new(file);
    loop {
        let read = archive.read(buffer).map_err(odd)?;
        if read == 0 {
            return to.finish().map_err(failed);
        }
        check(cancel)?;
        to.write_all(&buffer[..read]).map_err(failed)?;
    }
}

pub(super) fn odd(error: io::Error) -> UnpackError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => error.to_string(),
    };
    UnpackError::Odd { reason }
}

#[cfg(all(test, unix))]
#[path = "unpack_tests.rs"]
mod tests;

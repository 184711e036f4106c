//! Unpacks an archive that nobody vouches for into a folder.
//!
//! Owners and extended attributes are not kept, as COPY sets the first and a context brings none of the second; modes
//! and times are.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::{compression::decompress, place::Place, reader::Archive};
use crate::context::RelPath;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// The most members.
    pub members: usize,
    /// The most bytes of all members together.
    pub bytes: u64,
    /// How many times as large as the archive its members may be together, beyond the first GiB.
    pub ratio: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { members: 1_000_000, bytes: 64 << 30, ratio: 1000 }
    }
}

/// So much may come out of any archive, however small it is.
const FREE_OF_RATIO: u64 = 1 << 30;
/// How much is copied at once, in bytes.
const PIECE: usize = 128 << 10;

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
    /// It is malformed, cut off, or not meant well.
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
    /// It holds more than it may.
    #[error("it holds more than {limit}")]
    TooLarge {
        /// The limit, in words.
        limit: String,
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
    limits: UnpackLimits,
    cancel: &CancellationToken,
) -> Result<Unpacked, UnpackError> {
    let read = Arc::new(AtomicU64::new(0));
    let source = decompress(Counted { source, read: read.clone() }).map_err(odd)?;
    let mut place = Place::open(folder)?;
    let mut archive = Archive::new(source);
    let mut done = Unpacked::default();
    let mut meter = Meter { limits, cancel, read, written: 0, buffer: vec![0; PIECE].into() };
    while let Some(member) = archive.next_member().map_err(odd)? {
        meter.check()?;
        done.members += 1;
        if done.members > limits.members {
            return Err(UnpackError::TooLarge { limit: format!("{} members", limits.members) });
        }
        let path = place.shown(&member.path);
        let made = place.take(&member, |file| meter.copy(&mut archive, file, &path))?;
        done.devices += usize::from(!made);
    }
    place.finish()?;
    Ok(done)
}

/// Counts what is read of the archive as it is stored.
struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Watches how much comes out, and whether anybody still wants it.
struct Meter<'m> {
    limits: UnpackLimits,
    cancel: &'m CancellationToken,
    read: Arc<AtomicU64>,
    written: u64,
    buffer: Box<[u8]>,
}

impl Meter<'_> {
    fn check(&self) -> Result<(), UnpackError> {
        if self.cancel.is_cancelled() { Err(UnpackError::Cancelled) } else { Ok(()) }
    }

    /// Copies the bytes of a file.
    fn copy(&mut self, archive: &mut impl Read, file: &mut File, path: &Path) -> Result<(), UnpackError> {
        loop {
            let read = archive.read(&mut self.buffer).map_err(odd)?;
            if read == 0 {
                return Ok(());
            }
            self.written += read as u64;
            if self.written > self.limits.bytes {
                return Err(UnpackError::TooLarge { limit: format!("{} bytes", self.limits.bytes) });
            }
            let stored = self.read.load(Ordering::Relaxed).max(1);
            if self.written > FREE_OF_RATIO && self.written / stored > self.limits.ratio {
                let limit = format!("{} times its own size", self.limits.ratio);
                return Err(UnpackError::TooLarge { limit });
            }
            self.check()?;
            file.write_all(&self.buffer[..read]).map_err(|source| UnpackError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            })?;
        }
    }
}

pub(super) fn odd(error: io::Error) -> UnpackError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => error.to_string(),
    };
    UnpackError::Odd { reason }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;

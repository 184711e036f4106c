//! How much may come out of an archive that nobody vouches for, and the reader that holds it to that.
//!
//! containerd and moby limit none of this. What is small may rightly hold very much: a disk image of 10 GB of zeros is
//! 10 MB with gzip and a few hundred KB with zstd. So zeros count for the sum alone, as they become holes in files and
//! take no disk; and the ratio counts only what is left of an archive beyond what fits on any disk.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use polyarch_actors::Fetching;
use serde::{Deserialize, Serialize};

use super::reader::odd;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most members, with headers that only describe others.
    pub members: usize,
    /// The most bytes of the uncompressed archive.
    pub bytes: u64,
    /// How many of these bytes come out before `ratio` counts.
    pub allowance: u64,
    /// How many times as many bytes as are stored may come out beyond `allowance`. Pieces of zeros do not count.
    pub ratio: u64,
    /// The most bytes of memory that names, link targets and extended attributes of all members may take; each
    /// directory that anything is in counts for 512 more.
    pub names: u64,
}

impl Limits {
    /// What no honest layer, context or archive comes near to.
    pub const USUAL: Self =
        Self { members: 2_000_000, bytes: 256 << 30, allowance: 4 << 30, ratio: 200, names: 512 << 20 };

    /// What no honest context comes near to that somebody else sends or names.
    pub const OF_OTHERS: Self =
        Self { members: 1_000_000, bytes: 16 << 30, allowance: 1 << 30, ratio: 200, names: 256 << 20 };

    /// How much what is fetched for a context may hold.
    pub(crate) fn of(fetching: Fetching) -> Self {
        if fetching.is_own() { Self::USUAL } else { Self::OF_OTHERS }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::USUAL
    }
}

/// Counts what is read of the archive as it is stored.
pub(super) struct Stored<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Stored<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, read: Arc::default() }
    }

    /// What reads the uncompressed bytes of this within the limits.
    pub(super) fn guard(&self, limits: Limits) -> Guard {
        Guard { limits, stored: Arc::clone(&self.read), inflated: 0, dense: 0 }
    }
}

impl<R: Read> Read for Stored<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Watches how much comes out of an archive.
pub(super) struct Guard {
    limits: Limits,
    stored: Arc<AtomicU64>,
    inflated: u64,
    /// What counts for the ratio.
    dense: u64,
}

impl Guard {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Limits { bytes: most, allowance, ratio, .. } = self.limits;
        self.inflated += bytes.len() as u64;
        if self.inflated > most {
            return Err(odd(&format!("it holds more than {most} bytes")));
        }
        if self.inflated > allowance {
            let pieces = bytes.chunks(PIECE).filter(|piece| !is_zero(piece));
            self.dense += pieces.map(|piece| piece.len() as u64).sum::<u64>();
            if self.dense > self.stored.load(Ordering::Relaxed).saturating_mul(ratio) {
                return Err(odd(&format!("it holds more than {ratio} times its own size")));
            }
        }
        Ok(())
    }
}

/// What comes out of an archive, as far as it may.
pub(super) struct Guarded<R> {
    pub(super) source: R,
    pub(super) guard: Guard,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.guard.pass(&buffer[..read])?;
        Ok(read)
    }
}

/// As much as file systems leave out at least where there is nothing but zeros.
pub(super) const PIECE: usize = 4096;

pub(super) fn is_zero(piece: &[u8]) -> bool {
    // Comparing with zeros is one call of the C library, in whatever way this program is compiled.
    piece.chunks(PIECE).all(|piece| piece == &[0; PIECE][..piece.len()])
}

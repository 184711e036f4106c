//! Whether an archive can be a context: it is read to its end before it is taken.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    path::Path,
    time::{Duration, Instant},
};

use crate::archive::{ARCHIVE_HEAD, Archive, Limits, decompress_within, is_archive};

/// Why an archive is no context.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    /// It is something else.
    #[error("it is no tar archive, plain or compressed with gzip, zstd, bzip2 or xz")]
    NoArchive,
    /// A member would be outside.
    #[error("its member {member} leads out of the context")]
    LeadsOut {
        /// The member, without what leads out.
        member: String,
    },
    /// It is malformed, cut off, or holds more than it may.
    #[error("it cannot be unpacked: {reason}")]
    Odd {
        /// What is wrong with it.
        reason: String,
    },
    /// It may be fine, but to see that takes too long.
    #[error("reading it takes longer than {} seconds", most.as_secs())]
    TooLong {
        /// How long it may take.
        most: Duration,
    },
    /// It cannot be read.
    #[error("the archive cannot be read")]
    Io(#[source] io::Error),
}

/// Reads a whole archive, for at most as long as `most`.
pub(super) fn check(path: &Path, limits: Limits, most: Duration) -> Result<(), CheckError> {
    let mut file = File::open(path).map_err(CheckError::Io)?;
    let mut head = Vec::new();
    file.by_ref().take(ARCHIVE_HEAD as u64).read_to_end(&mut head).map_err(CheckError::Io)?;
    if !is_archive(&head) {
        return Err(CheckError::NoArchive);
    }
    file.rewind().map_err(CheckError::Io)?;
    let began = Instant::now();
    let timed = |error: io::Error| {
        // However the decoder puts it.
        if began.elapsed() >= most { CheckError::TooLong { most } } else { odd(&error) }
    };
    // What comes out may never end, nor what goes in before anything comes out.
    let source = decompress_within(Timed { source: file, began, most }, limits).map_err(timed)?;
    let mut archive = Archive::within(Timed { source, began, most }, limits);
    while let Some(member) = archive.next_member().map_err(timed)? {
        if member.leads_out {
            return Err(CheckError::LeadsOut { member: member.path.to_string() });
        }
    }
    Ok(())
}

fn odd(error: &io::Error) -> CheckError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => error.to_string(),
    };
    CheckError::Odd { reason }
}

/// Bytes that are read for so long and no longer.
struct Timed<R> {
    source: R,
    began: Instant,
    most: Duration,
}

impl<R: Read> Read for Timed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.began.elapsed() >= self.most {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.source.read(buffer)
    }
}

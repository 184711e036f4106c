//! Whether an archive can be a context: it is read to its end before it is taken.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    path::Path,
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
    /// It cannot be read.
    #[error("the archive cannot be read")]
    Io(#[source] io::Error),
}

/// Reads a whole archive.
pub(super) fn check(path: &Path, limits: Limits) -> Result<(), CheckError> {
    let mut file = File::open(path).map_err(CheckError::Io)?;
    let mut head = Vec::new();
    file.by_ref().take(ARCHIVE_HEAD as u64).read_to_end(&mut head).map_err(CheckError::Io)?;
    if !is_archive(&head) {
        return Err(CheckError::NoArchive);
    }
    file.rewind().map_err(CheckError::Io)?;
    let source = decompress_within(file, limits).map_err(odd)?;
    let mut archive = Archive::within(source, limits);
    while let Some(member) = archive.next_member().map_err(odd)? {
        if member.leads_out {
            return Err(CheckError::LeadsOut { member: member.path.to_string() });
        }
    }
    Ok(())
}

fn odd(error: io::Error) -> CheckError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => error.to_string(),
    };
    CheckError::Odd { reason }
}

//! Reads the streams of a file one after the other.

use std::io::{self, Read};

use super::{
    error::BackupError,
    header::{LENGTH, LONGEST_NAME, PLACE, StreamHeader, StreamKind},
};

/// Reads the streams of a file. Between two headers, it reads the bytes of the last stream; nothing else is in memory.
#[derive(Debug)]
pub struct BackupReader<R> {
    source: R,
    left: u64,
}

impl<R: Read> BackupReader<R> {
    /// Reads what `BackupRead` has given.
    pub fn new(source: R) -> Self {
        Self { source, left: 0 }
    }

    /// The next stream; `None` at the end. What nobody has read of the last one is skipped.
    pub fn next_stream(&mut self) -> Result<Option<StreamHeader>, BackupError> {
        self.skip_by(|source, left| {
            let read = io::copy(&mut source.take(left), &mut io::sink())?;
            if read == left { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        })?;
        let mut fixed = [0; LENGTH];
        if !fill(&mut self.source, &mut fixed)? {
            return Ok(None);
        }
        let [number, attributes, low, high, length] = [0, 4, 8, 12, 16]
            .map(|at| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]));
        let kind = StreamKind::of(number).ok_or(BackupError::Kind(number))?;
        let mut size = u64::from(high) << 32 | u64::from(low);
        let name = self.name(length)?;
        let mut offset = 0;
        if kind == StreamKind::SparseBlock {
            size = size.checked_sub(PLACE).ok_or(BackupError::Size(size))?;
            let mut place = [0; 8];
            if !fill(&mut self.source, &mut place)? {
                return Err(BackupError::CutOff);
            }
            offset = u64::from_le_bytes(place);
        }
        let header = StreamHeader { kind, attributes, size, offset, name };
        header.check()?;
        self.left = size;
        Ok(Some(header))
    }

    /// Skips what is left of a stream in another way than by reading it.
    pub fn skip_by(&mut self, skip: impl FnOnce(&mut R, u64) -> io::Result<()>) -> Result<(), BackupError> {
        match std::mem::take(&mut self.left) {
            0 => Ok(()),
            left => skip(&mut self.source, left).map_err(cut_off),
        }
    }

    /// Everything that is left of the stream `header`, where that is at most `most` bytes.
    pub fn whole(&mut self, header: &StreamHeader, most: u64) -> Result<Vec<u8>, BackupError> {
        if self.left > most {
            return Err(BackupError::TooLong { kind: header.kind, size: header.size, most });
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(cut_off)?;
        Ok(bytes)
    }

    fn name(&mut self, length: u32) -> Result<String, BackupError> {
        if length > LONGEST_NAME || !length.is_multiple_of(2) {
            return Err(BackupError::NameLength(length));
        }
        let mut bytes = vec![0; length as usize];
        if length > 0 && !fill(&mut self.source, &mut bytes)? {
            return Err(BackupError::CutOff);
        }
        text(&bytes).ok_or(BackupError::Name)
    }
}

impl<R: Read> Read for BackupReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if length == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..length])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// UTF-16 in the order of bytes that Windows has.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).ok()
}

/// Fills a buffer; `false` where there is nothing at all any more.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> Result<bool, BackupError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(BackupError::CutOff),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cut_off(error)),
        }
    }
    Ok(true)
}

fn cut_off(error: io::Error) -> BackupError {
    if error.kind() == io::ErrorKind::UnexpectedEof { BackupError::CutOff } else { error.into() }
}

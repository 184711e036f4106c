//! Writes the streams of a file one after the other.

use std::io::{self, Write};

use super::{error::BackupError, header::StreamHeader};

/// Writes the streams of a file. After a header come exactly as many bytes as it says.
#[derive(Debug)]
pub struct BackupWriter<W> {
    sink: W,
    left: u64,
}

impl<W: Write> BackupWriter<W> {
    /// Writes what `BackupWrite` takes.
    pub fn new(sink: W) -> Self {
        Self { sink, left: 0 }
    }

    /// Begins a stream. The one before must be whole.
    pub fn begin(&mut self, header: &StreamHeader) -> Result<(), BackupError> {
        if self.left > 0 {
            return Err(BackupError::CutOff);
        }
        self.sink.write_all(&header.encode()?)?;
        self.left = header.size;
        Ok(())
    }

    /// Writes a stream that is in memory.
    pub fn stream(&mut self, header: &StreamHeader, bytes: &[u8]) -> Result<(), BackupError> {
        self.begin(&StreamHeader { size: bytes.len() as u64, ..header.clone() })?;
        Ok(self.write_all(bytes)?)
    }

    /// What was written to. The last stream must be whole.
    pub fn finish(self) -> Result<W, BackupError> {
        if self.left > 0 { Err(BackupError::CutOff) } else { Ok(self.sink) }
    }
}

impl<W: Write> Write for BackupWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a backup stream is longer than it says",
            ));
        }
        let written = self.sink.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

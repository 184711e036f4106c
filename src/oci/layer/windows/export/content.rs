//! The content of a file, and of its further streams.

use std::io::{self, Read};

use super::{
    super::backup::{BackupError, BackupReader, StreamKind},
    facts::Opened,
};

/// Reads the content of the streams that layers keep, in their order.
pub(super) struct Contents {
    reader: BackupReader<Opened>,
}

impl Contents {
    pub(super) fn new(opened: Opened) -> Self {
        Self { reader: BackupReader::new(opened) }
    }

    /// Of a file without any bytes.
    pub(super) fn none() -> Self {
        Self::new(Opened::Backup(Box::new(io::empty())))
    }

    /// Goes to the next stream of a kind; `false` where there is none.
    pub(super) fn seek(&mut self, kind: StreamKind) -> Result<bool, BackupError> {
        while let Some(header) = self.reader.next_stream()? {
            if header.kind == kind {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The stream as it is.
    pub(super) fn plain(&mut self) -> &mut BackupReader<Opened> {
        &mut self.reader
    }

    /// The blocks behind the stream, with zeros where there are none.
    pub(super) fn sparse(&mut self) -> Sparse<'_> {
        Sparse { reader: &mut self.reader, at: 0, zeros: 0, is_ended: false }
    }
}

/// Reads blocks, and zeros between them.
pub(super) struct Sparse<'r> {
    reader: &'r mut BackupReader<Opened>,
    at: u64,
    zeros: u64,
    is_ended: bool,
}

impl Read for Sparse<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.zeros > 0 {
                let length =
                    usize::try_from(self.zeros).map_or(buffer.len(), |zeros| zeros.min(buffer.len()));
                buffer[..length].fill(0);
                self.zeros -= length as u64;
                return Ok(length);
            }
            let read = self.reader.read(buffer)?;
            self.at += read as u64;
            if read > 0 || self.is_ended || buffer.is_empty() {
                return Ok(read);
            }
            let header = self.reader.next_stream().map_err(io::Error::other)?;
            let header = header.filter(|header| header.kind == StreamKind::SparseBlock);
            let header = header.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            let zeros = header.offset.checked_sub(self.at);
            self.zeros = zeros.ok_or_else(|| io::Error::other("sparse blocks out of their order"))?;
            self.at = header.offset;
            self.is_ended = header.size == 0;
        }
    }
}

/// Hashes what is read.
pub(super) struct Hashing<R> {
    pub(super) source: R,
    pub(super) hash: blake3::Hasher,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, hash: blake3::Hasher::new() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

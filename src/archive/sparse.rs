//! Files with holes instead of zeros.

use std::{
    fs::File,
    io::{self, Write},
};

use super::limits::{PIECE, is_zero};
use crate::file_at;

/// Writes a new file from its beginning. Zeros take no disk, so that a small archive of very many fills none.
#[derive(Debug)]
pub(crate) struct Sparse<'f> {
    file: &'f File,
    at: u64,
}

impl<'f> Sparse<'f> {
    /// `file` must be empty.
    pub(crate) fn new(file: &'f File) -> Self {
        Self { file, at: 0 }
    }

    /// Gives the file its length.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file.set_len(self.at)
    }
}

impl Write for Sparse<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() < PIECE || !is_zero(bytes) {
            file_at::write_all_at(self.file, bytes, self.at)?;
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Pieces of bytes between tasks and threads that read and write in the ordinary way.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

/// How many pieces may wait.
const WAITING: usize = 16;
/// The largest piece that a writer makes, in bytes.
const PIECE: usize = 64 << 10;

/// Gives away what is written to it, in a thread that may block.
#[derive(Debug)]
pub(super) struct PipeWriter {
    pieces: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

/// Reads what is sent to it, in a thread that may block.
#[derive(Debug)]
pub(super) struct PipeReader {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

/// A writer, and where its pieces come out.
pub(super) fn writer() -> (PipeWriter, mpsc::Receiver<Bytes>) {
    let (pieces, receiver) = mpsc::channel(WAITING);
    (PipeWriter { pieces, piece: Vec::with_capacity(PIECE) }, receiver)
}

/// A reader, and where its pieces go in.
pub(super) fn reader() -> (mpsc::Sender<io::Result<Bytes>>, PipeReader) {
    let (sender, pieces) = mpsc::channel(WAITING);
    (sender, PipeReader { pieces, piece: Bytes::new() })
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let (mut writer, mut out) = writer();
        let written = vec![7_u8; PIECE * 3 + 5];
        let sent = written.clone();
        let thread = std::thread::spawn(move || writer.write_all(&sent).and_then(|()| writer.flush()));
        let (pieces, mut reader) = reader();
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        while let Some(piece) = out.blocking_recv() {
            pieces.blocking_send(Ok(piece)).expect("read");
        }
        thread.join().expect("no panic").expect("written");
        drop(pieces);
        assert_eq!(reading.join().expect("no panic").expect("read"), written);
    }

    #[test]
    fn nobody_writes_for_a_reader_that_is_gone() {
        let (mut writer, out) = writer();
        drop(out);
        assert!(writer.write_all(&vec![0; PIECE]).is_err());
    }
}

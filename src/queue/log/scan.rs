//! How far a log goes, and where its lines are.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
};

use serde::Deserialize;

use crate::file_at::read_at;

/// How many lines there are from one whose place is known to the next.
const EVERY: u64 = 512;
/// How much of a file is read at once.
const BUFFER: usize = 64 << 10;

/// What is known of a file of lines.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where its whole lines end.
    pub(super) bytes: u64,
    /// How many those are.
    pub(super) lines: u64,
    /// Whether the last of them is the end of the build.
    pub(super) finished: bool,
    /// Where each line begins whose number is a multiple of [`EVERY`].
    marks: Vec<u64>,
}

/// What must be in every line, whatever version wrote it.
#[derive(Deserialize)]
struct Head {
    sequence: u64,
    event: String,
}

impl Scan {
    /// Notes a line of this length, its line break included.
    pub(super) fn push(&mut self, length: u64) {
        if self.lines.is_multiple_of(EVERY) {
            self.marks.push(self.bytes);
        }
        self.bytes += length;
        self.lines += 1;
    }

    /// Notes the lines that have come to the file. What a crash left behind them is none, whatever it looks like.
    pub(super) fn extend(&mut self, file: &File) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(BUFFER, At { file, at: self.bytes });
        let (mut line, mut last) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            if !is_whole(&line) {
                break;
            }
            self.push(line.len() as u64);
            std::mem::swap(&mut line, &mut last);
        }
        if last.is_empty() {
            return Ok(());
        }
        match serde_json::from_slice::<Head>(&last) {
            Ok(head) if head.sequence == self.lines - 1 => self.finished = head.event == "finished",
            _ => self.pop(last.len() as u64),
        }
        Ok(())
    }

    fn pop(&mut self, length: u64) {
        self.bytes -= length;
        self.lines -= 1;
        if self.lines.is_multiple_of(EVERY) {
            self.marks.pop();
        }
    }

    /// A line whose place is known and which is not behind line `line`, with its number.
    pub(super) fn before(&self, line: u64) -> (u64, u64) {
        let mark = (line / EVERY).min((self.marks.len() as u64).saturating_sub(1));
        let at = usize::try_from(mark).ok().and_then(|mark| self.marks.get(mark));
        at.map_or((0, 0), |at| (*at, mark * EVERY))
    }
}

/// Where the line begins that is `lines` behind the one that begins at `at`.
pub(super) fn skip(file: &File, at: u64, lines: u64) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(BUFFER, At { file, at });
    let (mut place, mut left) = (at, lines);
    while left > 0 {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let used = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                left -= 1;
                end + 1
            }
            None => buffer.len(),
        };
        reader.consume(used);
        place += used as u64;
    }
    Ok(place)
}

/// A line that was written to its end. A machine that crashed may have left zeros.
fn is_whole(line: &[u8]) -> bool {
    line.starts_with(b"{") && line.ends_with(b"}\n") && !line.contains(&0)
}

/// Reads a file from a position on, without a cursor that others could move.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = read_at(self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

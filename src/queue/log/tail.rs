//! The newest lines of a log in memory, so that readers at its end read no file.

use std::collections::VecDeque;

use bytes::Bytes;

/// The most bytes kept, apart from those that were written last.
const MOST_BYTES: u64 = 256 << 10;

/// Some whole lines each, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Tail {
    chunks: VecDeque<(u64, Bytes)>,
    bytes: u64,
}

impl Tail {
    /// Keeps what was written at a position, and lets go of what is old.
    pub(super) fn push(&mut self, at: u64, chunk: Bytes) {
        self.bytes += chunk.len() as u64;
        self.chunks.push_back((at, chunk));
        while self.bytes > MOST_BYTES
            && self.chunks.len() > 1
            && let Some((_, oldest)) = self.chunks.pop_front()
        {
            self.bytes -= oldest.len() as u64;
        }
    }

    /// What stands from a position on, or some of it.
    pub(super) fn from(&self, at: u64) -> Option<Bytes> {
        let behind = self.chunks.partition_point(|(start, _)| *start <= at);
        let (start, chunk) = self.chunks.get(behind.checked_sub(1)?)?;
        let skipped = usize::try_from(at - start).ok()?;
        (skipped < chunk.len()).then(|| chunk.slice(skipped..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bytes_are_kept_and_no_more() {
        let mut tail = Tail::default();
        let size = 1_000_u64;
        for number in 0..2_000 {
            tail.push(number * size, Bytes::from(vec![u8::try_from(number % 251).expect("small"); 1_000]));
            assert!(tail.bytes <= MOST_BYTES);
        }
        let end = 2_000 * size;
        assert_eq!(tail.from(end), None);
        assert_eq!(tail.from(end - 1).expect("kept").len(), 1);
        let chunk = tail.from(end - 1_500).expect("kept");
        assert_eq!((chunk.len(), chunk[0]), (500, 241));
        assert_eq!(tail.from(0), None);
    }
}

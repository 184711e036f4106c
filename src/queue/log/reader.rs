//! Reading the log of a build.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::sync::watch;

use super::{
    error::LogError,
    live::{Live, Reached},
};

/// How much of the file is read at once, unless a line is longer.
const BUFFER: usize = 32 << 10;
/// How often somebody looks for what another process has written.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a reader waits for events that are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Until the build ends; for builds without a final state.
    UntilEnd,
    /// No: it reads what there is. For builds that have ended, whose logs may lack their end after a crash.
    No,
}

/// One event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its sequence number, which is the number of its line.
    pub sequence: u64,
    /// The event ([`BuildEvent`](polyarch_actors::BuildEvent)) as JSON, in one line without the line break.
    pub json: Bytes,
}

/// Reads a log. It holds a few lines at most, and nothing but a place while it waits.
#[derive(Debug)]
pub struct LogReader {
    live: Arc<Live>,
    reached: watch::Receiver<Reached>,
    follow: Follow,
    elsewhere: bool,
    /// The number of the next line.
    next: u64,
    /// Where that line begins; unknown before it is there.
    at: Option<u64>,
    /// What was read from there on.
    buffer: Bytes,
    /// How much of that holds no line break.
    searched: usize,
    looked: bool,
}

impl LogReader {
    pub(super) fn new(live: Arc<Live>, after: Option<u64>, follow: Follow, elsewhere: bool) -> Self {
        let next = after.map_or(0, |after| after.saturating_add(1));
        let at = (next == 0).then_some(0);
        let reached = live.reached();
        Self { live, reached, follow, elsewhere, next, at, buffer: Bytes::new(), searched: 0, looked: false }
    }

    /// The next event; `None` when there is none any more. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Option<Result<LogLine, LogError>> {
        self.step().await.transpose()
    }

    /// The events as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<LogLine, LogError>> + Send + use<> {
        futures::stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            let line = reader.next().await?;
            // Nothing follows an error.
            let reader = line.is_ok().then_some(reader);
            Some((line, reader))
        })
    }

    /// How many bytes it keeps in memory at most.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.buffer.len()
    }

    async fn step(&mut self) -> Result<Option<LogLine>, LogError> {
        if !self.looked {
            self.look().await?;
            self.looked = true;
        }
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            // Marked as seen before reading on, so that what comes in between wakes the wait below.
            let reached = *self.reached.borrow_and_update();
            if self.next < reached.lines {
                self.read_on(reached).await?;
            } else if reached.complete || self.follow == Follow::No {
                return Ok(None);
            } else {
                self.wait().await?;
            }
        }
    }

    fn take_line(&mut self) -> Option<LogLine> {
        let unread = &self.buffer[self.searched..];
        let Some(end) = unread.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let length = self.searched + end + 1;
        let mut json = self.buffer.split_to(length);
        json.truncate(length - 1);
        self.searched = 0;
        self.at = self.at.map(|at| at + length as u64);
        let line = LogLine { sequence: self.next, json };
        self.next += 1;
        Some(line)
    }

    /// Reads more of a line that is there.
    async fn read_on(&mut self, reached: Reached) -> Result<(), LogError> {
        let at = if let Some(at) = self.at {
            at
        } else {
            let line = self.next;
            let place = self.work(move |live| live.place_of(line)).await?;
            *self.at.insert(place)
        };
        let behind = at + self.buffer.len() as u64;
        if self.buffer.is_empty()
            && let Some(recent) = self.live.recent(behind)
        {
            self.buffer = recent;
            return Ok(());
        }
        let left = usize::try_from(reached.bytes - behind).unwrap_or(usize::MAX);
        let length = left.min(BUFFER.max(self.buffer.len()));
        let start = self.buffer.clone();
        self.buffer = self
            .work(move |live| {
                let mut buffer = BytesMut::with_capacity(start.len() + length);
                buffer.extend_from_slice(&start);
                buffer.resize(start.len() + length, 0);
                live.read(&mut buffer[start.len()..], behind)?;
                Ok(buffer.freeze())
            })
            .await?;
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), LogError> {
        // Nothing of what was read is held meanwhile.
        self.buffer = Bytes::new();
        if !self.elsewhere {
            // Whoever tells is held by this reader.
            let _ = self.reached.changed().await;
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        self.look().await
    }

    async fn look(&self) -> Result<(), LogError> {
        self.work(Live::look).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Live) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let live = Arc::clone(&self.live);
        let done = tokio::task::spawn_blocking(move || work(&live)).await;
        done.map_err(|error| LogError::io(&self.live.path, std::io::Error::other(error)))?
    }
}

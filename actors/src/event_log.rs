//! The events of one build, kept for whoever wants to read them.
//!
//! A log keeps the newest events up to a number and a size. Readers come and go at any time and start at
//! the oldest event kept; a reader that falls behind is told how many it missed. Writing never waits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::Stream;
use tokio::sync::watch;
use tracing::Span;

use crate::{BuildEvent, BuildId, EventKind, Platform, Timestamp, Witness, version::ProtocolVersion};

/// The most events a log keeps.
const MOST_EVENTS: usize = 16_384;
/// The most bytes of step output a log keeps.
const MOST_BYTES: usize = 16 << 20;

/// Where the facts of one build go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventSink {
    log: Arc<EventLog>,
    platform: Option<Platform>,
}

#[derive(Debug)]
struct EventLog {
    build: BuildId,
    witness: Option<Arc<dyn Witness>>,
    kept: Mutex<Kept>,
    /// The sequence number that the next event gets; closed when the build ended.
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<BuildEvent>>,
    bytes: usize,
    next: u64,
    finished: bool,
}

impl EventSink {
    /// An empty log for `build`.
    pub fn new(build: BuildId) -> Self {
        Self::with(build, None)
    }

    /// An empty log for `build`, whose facts somebody sees before it has them.
    pub fn witnessed(build: BuildId, witness: Arc<dyn Witness>) -> Self {
        Self::with(build, Some(witness))
    }

    fn with(build: BuildId, witness: Option<Arc<dyn Witness>>) -> Self {
        let log = EventLog { build, witness, kept: Mutex::default(), next: watch::Sender::new(0) };
        Self { log: Arc::new(log), platform: None }
    }

    /// The same log, for facts about one platform.
    #[must_use]
    pub fn for_platform(&self, platform: &Platform) -> Self {
        Self { log: Arc::clone(&self.log), platform: Some(platform.clone()) }
    }

    /// The build whose facts these are.
    pub fn build(&self) -> &BuildId {
        &self.log.build
    }

    /// The span that work belongs to whose facts these are; none where nobody wants spans.
    pub fn span(&self) -> Span {
        let witness = self.log.witness.as_ref();
        witness.map_or_else(Span::none, |witness| witness.span(self.platform.as_ref()))
    }

    /// Records a fact. After [`EventKind::Finished`] nothing more is recorded.
    pub fn emit(&self, kind: EventKind) {
        let mut kept = self.log.lock();
        if kept.finished {
            return;
        }
        kept.finished = matches!(kind, EventKind::Finished { .. });
        let event = BuildEvent {
            version: ProtocolVersion,
            build: self.log.build.clone(),
            platform: self.platform.clone(),
            sequence: kept.next,
            time: Timestamp::now(),
            kind,
        };
        if let Some(witness) = &self.log.witness {
            // Within the lock: facts of several threads have one order for everybody.
            witness.see(&event);
        }
        kept.next += 1;
        kept.bytes += output_bytes(&event);
        kept.events.push_back(Arc::new(event));
        while kept.events.len() > MOST_EVENTS || (kept.bytes > MOST_BYTES && kept.events.len() > 1) {
            if let Some(oldest) = kept.events.pop_front() {
                kept.bytes -= output_bytes(&oldest);
            }
        }
        let next = kept.next;
        drop(kept);
        // Two writers may arrive here in the other order; a reader looks at the log, not at the number.
        self.log.next.send_replace(next);
    }

    /// Reads the events from the oldest one kept until the build has finished.
    pub fn subscribe(&self) -> impl Stream<Item = Arc<BuildEvent>> + Send + Unpin + use<> {
        let reader = Reader { log: Arc::clone(&self.log), woken: self.log.next.subscribe(), cursor: 0 };
        Box::pin(futures::stream::unfold(reader, |mut reader| async move {
            let event = reader.next().await?;
            Some((event, reader))
        }))
    }
}

struct Reader {
    log: Arc<EventLog>,
    woken: watch::Receiver<u64>,
    cursor: u64,
}

impl Reader {
    async fn next(&mut self) -> Option<Arc<BuildEvent>> {
        loop {
            // Marked as seen before looking, so an event that comes in between wakes the wait below.
            self.woken.borrow_and_update();
            {
                let kept = self.log.lock();
                let oldest = kept.next - kept.events.len() as u64;
                if self.cursor < oldest {
                    let missed = oldest - self.cursor;
                    self.cursor = oldest;
                    return Some(Arc::new(self.missed(missed)));
                }
                if let Some(event) = kept.events.get(usize::try_from(self.cursor - oldest).ok()?) {
                    self.cursor += 1;
                    return Some(Arc::clone(event));
                }
                if kept.finished {
                    return None;
                }
            }
            self.woken.changed().await.ok()?;
        }
    }

    /// Stands in for what is gone, with the number of the last event that is.
    fn missed(&self, events: u64) -> BuildEvent {
        BuildEvent {
            version: ProtocolVersion,
            build: self.log.build.clone(),
            platform: None,
            sequence: self.cursor - 1,
            time: Timestamp::now(),
            kind: EventKind::Missed { events },
        }
    }
}

impl EventLog {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn output_bytes(event: &BuildEvent) -> usize {
    match &event.kind {
        EventKind::StepOutput { data, .. } => data.0.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogBytes;
    use futures::StreamExt;

    fn output(bytes: usize) -> EventKind {
        EventKind::StepOutput { step: 1, data: LogBytes(vec![b'x'; bytes]) }
    }

    #[tokio::test]
    async fn a_late_reader_sees_everything_from_the_start() {
        let sink = EventSink::new(BuildId::generate());
        sink.emit(EventKind::Queued { ahead: 0, reason: crate::queue::Reason::Turn });
        sink.for_platform(&"linux/arm64".parse().expect("platform")).emit(output(3));
        sink.emit(EventKind::Finished { error: None });
        sink.emit(output(1));
        let events: Vec<_> = sink.subscribe().collect().await;
        assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(events[1].platform.as_ref().map(ToString::to_string).as_deref(), Some("linux/arm64"));
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed_and_memory_stays_bounded() {
        let sink = EventSink::new(BuildId::generate());
        let mut reader = sink.subscribe();
        let chunk = 1 << 20;
        for _ in 0..40 {
            sink.emit(output(chunk));
        }
        sink.emit(EventKind::Finished { error: None });
        assert!(sink.log.lock().bytes <= MOST_BYTES);
        let first = reader.next().await.expect("an event");
        let EventKind::Missed { events } = first.kind else { panic!("{first:?}") };
        let rest: Vec<_> = reader.collect().await;
        assert_eq!(events + rest.len() as u64, 41);
        assert_eq!(rest[0].sequence, first.sequence + 1);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken() {
        let sink = EventSink::new(BuildId::generate());
        let reader = tokio::spawn(sink.subscribe().collect::<Vec<_>>());
        tokio::task::yield_now().await;
        for _ in 0..100 {
            sink.emit(EventKind::Queued { ahead: 1, reason: crate::queue::Reason::Turn });
            tokio::task::yield_now().await;
        }
        sink.emit(EventKind::Finished { error: None });
        assert_eq!(reader.await.expect("reader").len(), 101);
    }
}

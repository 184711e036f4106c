//! One attempt of one build, from its turn to its end.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use polyarch_actors::{
    BuildError, BuildEvent, BuildId, EventKind, Fault, ProtocolVersion, TimedPart, Timestamp, queue::Share,
};

use super::{
    error::QueueError,
    stop::{Stop, Why},
};
use crate::{
    BuildHandle, Error, Orchestrator, Receipt,
    flow::as_build_error,
    orchestrator::Begin,
    queue::{
        BuildState, Counts,
        about::Lanes,
        counts::AttemptCounts,
        log::{LogError, LogWriter, Logs},
        records::{BuildRecord, End, Records, RecordsError, Requeued},
    },
};

/// How long to wait before a change is tried again that could not be written down.
const PAUSE: Duration = Duration::from_secs(1);
/// The most events that are written at once.
const MOST_EVENTS: usize = 256;

/// What is needed to run a build.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) orchestrator: Orchestrator,
    pub(super) records: Records,
    pub(super) logs: Logs,
    pub(super) counts: Counts,
    pub(super) record: BuildRecord,
    pub(super) stop: Stop,
    pub(super) lanes: Arc<Mutex<Lanes>>,
    /// Whether the tenant has a scope of its own.
    pub(super) scopes: bool,
    /// Whether it fails where it is not held to what its steps may take together.
    pub(super) require_resources: bool,
}

impl Attempt {
    /// Runs the build and writes down how it ended; whether its log says that it has. Where it does not wait any more, somebody
    /// did not want it any more while its turn came, and its log gets that end.
    pub(super) async fn run(self) -> bool {
        match self.lasting(|| self.records.begin(&self.record.id)).await {
            Some(true) => {}
            Some(false) => {
                let end = EventKind::Finished { error: Some(BuildError::Cancelled) };
                return note(&self.logs, &self.record.id, end).await;
            }
            None => return false,
        }
        let began = Instant::now();
        if self.record.attempt == 0 {
            self.counts.began(self.waited());
        }
        let (writer, outcome) = match self.begin().await {
            Ok((writer, build)) => {
                let outcome = self.follow(&writer, build).await;
                (Some(writer), outcome)
            }
            Err(error) => {
                let reason = crate::error::with_sources(&error);
                let error = BuildError::Host { reason: reason.clone(), retryable: false };
                (None, Some(End::Failed { error, reason }))
            }
        };
        let last = if let Some(end) = &outcome {
            let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).get().to_vec();
            let (state, error) = (end.state(), error_of(end));
            match self.lasting(|| self.records.end(&self.record.id, end.clone(), lanes.clone())).await {
                Some(true) => {
                    let fault = error.as_ref().map(BuildError::fault);
                    self.counts.ended(state, fault, Some(began.elapsed()));
                }
                Some(false) => {}
                None => return false,
            }
            EventKind::Finished { error }
        } else {
            match self.lasting(|| self.records.requeue(&self.record.id)).await {
                Some(Requeued::Queued) => {
                    EventKind::Warned { message: "it was stopped, and is begun again".into() }
                }
                Some(Requeued::Ended(state)) => {
                    self.counts.ended(state, Some(Fault::Cancelled), Some(began.elapsed()));
                    EventKind::Finished { error: Some(BuildError::Cancelled) }
                }
                Some(Requeued::NotRunning) | None => return false,
            }
        };
        // The record says it already: whoever sees the end of the log finds the build ended.
        drop(writer);
        let is_end = matches!(last, EventKind::Finished { .. });
        note(&self.logs, &self.record.id, last).await && is_end
    }

    async fn begin(&self) -> Result<(LogWriter, BuildHandle), QueueError> {
        let BuildRecord { id, tenant, priority, submitted, limits, about, .. } = self.record.clone();
        let writer = self.logs.writer(&id).await?;
        let mut spec = self.records.spec(&tenant, &id).await?;
        if self.scopes && spec.scope.is_none() {
            spec.scope = Some(tenant.clone());
        }
        spec.resources.required |= self.require_resources;
        let waited = self.waited();
        let share = Share { tenant, priority, submitted };
        Ok((writer, self.orchestrator.begin(Begin { id, spec, limits, waited, share, trace: about.trace })))
    }

    /// How long ago it was submitted.
    fn waited(&self) -> Duration {
        Duration::from_millis(Timestamp::now().0.saturating_sub(self.record.submitted.0))
    }

    /// Writes down what happens until the build has ended, and returns how; nothing where it is to wait again.
    async fn follow(&self, writer: &LogWriter, build: BuildHandle) -> Option<End> {
        let cancel = build.cancel_token();
        let mut events = build.events().ready_chunks(MOST_EVENTS);
        let mut counted = AttemptCounts::new(self.counts.clone());
        let told = async {
            while let Some(mut some) = events.next().await {
                some.retain(|event| !matches!(event.kind, EventKind::Finished { .. }));
                self.see(&some, &mut counted);
                if let Err(error) = writer.append(some).await {
                    tracing::warn!(build = %self.record.id, %error, "events were not written");
                }
            }
        };
        let stopped = async {
            self.stop.fired().await;
            cancel.cancel();
            std::future::pending::<()>().await;
        };
        let work = async { futures::join!(build, told).0 };
        let result = tokio::select! {
            result = work => result,
            () = stopped => return None,
        };
        self.outcome(result)
    }

    fn see(&self, events: &[Arc<BuildEvent>], counted: &mut AttemptCounts) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            lanes.see(event);
            counted.see(event);
        }
    }

    /// What an end means; nothing where the build is to wait again.
    fn outcome(&self, result: Result<Receipt, Error>) -> Option<End> {
        let why = self.stop.why();
        let error = match result {
            Ok(receipt) => return Some(End::Succeeded { receipt: Box::new(receipt) }),
            Err(error) => error,
        };
        let reason = crate::error::with_sources(&error);
        Some(match (error, why) {
            (Error::Cancelled | Error::Gone { .. }, Some(Why::Closing)) => return None,
            (Error::Cancelled, Some(Why::Deadline)) => End::TimedOut {
                error: BuildError::TimedOut { part: TimedPart::Deadline, limit_ms: 0 },
                reason: "its deadline passed".into(),
            },
            (Error::Cancelled, _) => End::Cancelled { reason: "it was cancelled".into() },
            (Error::TimedOut(error), _) => End::TimedOut { error, reason },
            (error, _) => End::Failed { error: as_build_error(&error), reason },
        })
    }

    /// Tries a change until it is written down: a disk that is full now may not be later, and no build is forgotten.
    /// Nothing where the queue closes meanwhile: the next to open it looks after the build.
    async fn lasting<T, F: Future<Output = Result<T, RecordsError>>>(
        &self,
        change: impl Fn() -> F,
    ) -> Option<T> {
        loop {
            match change().await {
                Ok(done) => return Some(done),
                Err(error) => tracing::error!(build = %self.record.id, %error, "a record was not written"),
            }
            if self.stop.why() == Some(Why::Closing) {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What the last event of a build says.
pub(super) fn error_of(end: &End) -> Option<BuildError> {
    match end {
        End::Succeeded { .. } => None,
        End::Failed { error, .. } | End::TimedOut { error, .. } => Some(error.clone()),
        End::Cancelled { .. } => Some(BuildError::Cancelled),
        End::Lost { reason } => Some(BuildError::Host { reason: reason.clone(), retryable: true }),
    }
}

/// What the last event of a build says whose record is final.
pub(super) fn error_of_record(record: &BuildRecord) -> Option<BuildError> {
    let reason = || record.reason.clone().unwrap_or_default();
    match record.state {
        BuildState::Succeeded => None,
        BuildState::Cancelled | BuildState::Superseded => Some(BuildError::Cancelled),
        _ => Some(
            record.error.clone().unwrap_or_else(|| BuildError::Host { reason: reason(), retryable: true }),
        ),
    }
}

/// An event of the queue itself. The log gives it its number.
pub(super) fn event(build: &BuildId, kind: EventKind) -> Arc<BuildEvent> {
    let (version, build, time) = (ProtocolVersion, build.clone(), Timestamp::now());
    Arc::new(BuildEvent { version, build, platform: None, sequence: 0, time, kind })
}

/// Writes an event into the log of a build that does not run, and returns whether it is there. A log that has ended stays as
/// it is.
pub(super) async fn note(logs: &Logs, build: &BuildId, kind: EventKind) -> bool {
    let written = match logs.writer(build).await {
        Ok(writer) => writer.append(vec![event(build, kind)]).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(()) | Err(LogError::Ended { .. }) => true,
        Err(error) => {
            tracing::warn!(%build, %error, "an event was not written");
            false
        }
    }
}

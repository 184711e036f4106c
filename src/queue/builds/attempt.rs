//! One attempt of one build, from its turn to its end.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use polyarch_actors::{
    BuildError, BuildEvent, BuildId, EventKind, Fault, ProtocolVersion, TimedPart, Timestamp, queue::Share,
};

use super::stop::{Stop, Why};
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

/// What the log of a build says when an attempt is over.
pub(super) enum Said {
    /// That the build has ended.
    End,
    /// Not yet what it is to say.
    NotYet(Box<EventKind>),
    /// All that there is to say, as the build has not ended.
    Enough,
}

impl Attempt {
    /// Runs the build and writes down how it ended. Where it does not wait any more, somebody did not want it any more while
    /// its turn came, and its log gets that end.
    pub(super) async fn run(self) -> Said {
        match self.lasting(|| self.records.begin(&self.record.id)).await {
            Some(true) => {}
            Some(false) => {
                return self.say(None, EventKind::Finished { error: Some(BuildError::Cancelled) }).await;
            }
            None => return Said::Enough,
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
            Err(outcome) => (None, outcome),
        };
        let Some(end) = outcome else {
            return match self.lasting(|| self.records.requeue(&self.record.id)).await {
                Some(Requeued::Queued) => {
                    let message = "it was stopped, and is begun again".into();
                    self.say(writer, EventKind::Warned { message }).await
                }
                Some(Requeued::Ended(state)) => {
                    self.counts.ended(state, Some(Fault::Cancelled), Some(began.elapsed()));
                    self.say(writer, EventKind::Finished { error: Some(BuildError::Cancelled) }).await
                }
                Some(Requeued::NotRunning) | None => Said::Enough,
            };
        };
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).get().to_vec();
        let (state, error) = (end.state(), error_of(&end));
        match self.lasting(|| self.records.end(&self.record.id, end.clone(), lanes.clone())).await {
            Some(true) => {
                let fault = error.as_ref().map(BuildError::fault);
                self.counts.ended(state, fault, Some(began.elapsed()));
            }
            Some(false) => {}
            None => return Said::Enough,
        }
        // The record says it already: whoever sees the end of the log finds the build ended.
        self.say(writer, EventKind::Finished { error }).await
    }

    /// Writes the last event of the attempt.
    async fn say(&self, writer: Option<LogWriter>, kind: EventKind) -> Said {
        let id = &self.record.id;
        let is_there = match writer {
            Some(writer) => is_written(id, writer.append(vec![event(id, kind.clone())]).await),
            None => note(&self.logs, id, kind.clone()).await,
        };
        match kind {
            EventKind::Finished { .. } if is_there => Said::End,
            EventKind::Finished { .. } => Said::NotYet(Box::new(kind)),
            _ => Said::Enough,
        }
    }

    /// Begins the build, as soon as its log and its spec can be had. Where that cannot be, how it ends; nothing where it is to
    /// wait again.
    async fn begin(&self) -> Result<(LogWriter, BuildHandle), Option<End>> {
        let BuildRecord { id, tenant, priority, submitted, mut limits, about, .. } = self.record.clone();
        let writer = self.had(|| self.logs.writer(&id), LogError::may_pass).await?;
        let mut spec = self.had(|| self.records.spec(&tenant, &id), RecordsError::may_pass).await?;
        if self.scopes && spec.scope.is_none() {
            spec.scope = Some(tenant.clone());
        }
        spec.resources.required |= self.require_resources;
        // What was begun before has had its turn in time.
        limits.queue = limits.queue.filter(|_| self.record.attempt == 0);
        let waited = self.waited();
        let share = Share { tenant, priority, submitted };
        Ok((writer, self.orchestrator.begin(Begin { id, spec, limits, waited, share, trace: about.trace })))
    }

    /// Tries until something is there: what cannot be had now may be later, and fails no build.
    async fn had<T, E, F>(&self, get: impl Fn() -> F, may_pass: fn(&E) -> bool) -> Result<T, Option<End>>
    where
        E: std::error::Error,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            let error = match get().await {
                Ok(got) => return Ok(got),
                Err(error) => error,
            };
            let reason = crate::error::with_sources(&error);
            if !may_pass(&error) {
                let error = BuildError::Host { reason: reason.clone(), retryable: false };
                return Err(Some(End::Failed { error, reason }));
            }
            tracing::error!(build = %self.record.id, "it cannot begin: {reason}");
            if self.orchestrator.is_ending() {
                return Err(self.outcome(Err(Error::Cancelled)));
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.stop.fired() => return Err(self.outcome(Err(Error::Cancelled))),
            }
        }
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
            std::future::pending::<Infallible>().await
        };
        let work = async { futures::join!(build, told).0 };
        let result = tokio::select! {
            result = work => result,
            never = stopped => match never {},
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
        let is_stopped =
            matches!(error, Error::Gone { .. }) || as_build_error(&error).fault() == Fault::Cancelled;
        if is_stopped && (why == Some(Why::Closing) || why.is_none() && self.orchestrator.is_ending()) {
            return None;
        }
        Some(match (error, why) {
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
            if self.stop.is_closing() || self.orchestrator.is_ending() {
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
    is_written(build, written)
}

fn is_written(build: &BuildId, written: Result<(), LogError>) -> bool {
    match written {
        Ok(()) | Err(LogError::Ended { .. }) => true,
        Err(error) => {
            tracing::warn!(%build, %error, "an event was not written");
            false
        }
    }
}

//! The task that knows what waits and what runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use polyarch_actors::{
    BuildError, BuildId, EventKind, TimedPart, Timestamp,
    queue::{Refusal, Tenant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{Id, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    attempt::{Attempt, Said, note},
    ends::Ends,
    notes::Note,
    options::QueueOptions,
    report::{BuildsLoad, BuildsReport},
    stop::{Stop, Why},
    waiting::{Waiting, overdue},
};
use crate::{
    Orchestrator,
    queue::{
        BuildState, Counts,
        about::Lanes,
        log::Logs,
        records::{BuildRecord, End, Records},
        retention::carry_out,
    },
    room::Seat,
};

/// How often times are looked at and places are told.
const TICK: Duration = Duration::from_secs(1);
/// How many places are told each time.
const MOST_TOLD: usize = 100;
/// How often is looked what of ended builds may go.
const CLEAN: Duration = Duration::from_mins(10);
/// The longest that anybody waits for builds that run.
const LONGEST_GRACE: Duration = Duration::from_hours(365 * 24);

/// What the runner shares with the queue.
pub(super) struct Shared {
    pub(super) orchestrator: Orchestrator,
    pub(super) records: Records,
    pub(super) logs: Logs,
    pub(super) counts: Counts,
    pub(super) options: QueueOptions,
    /// Counts the builds that have ended, for whoever waits for one.
    pub(super) ended: watch::Sender<u64>,
}

/// What waits and what runs.
pub(super) struct Runner {
    pub(super) orchestrator: Orchestrator,
    pub(super) records: Records,
    pub(super) logs: Logs,
    counts: Counts,
    pub(super) waiting: Waiting,
    running: HashMap<BuildId, Running>,
    attempts: JoinSet<Said>,
    tasks: HashMap<Id, BuildId>,
    ends: Ends,
    /// When what still runs is to end, once the queue closes.
    closing: Option<Instant>,
    closed: Vec<oneshot::Sender<()>>,
}

struct Running {
    record: BuildRecord,
    stop: Stop,
    lanes: Arc<Mutex<Lanes>>,
}

impl Runner {
    pub(super) fn new(shared: Shared) -> Self {
        let Shared { orchestrator, records, logs, counts, options, ended } = shared;
        let ends = Ends::new(records.clone(), logs.clone(), counts.clone(), ended);
        Self {
            orchestrator,
            records,
            logs,
            counts,
            waiting: Waiting::new(&options),
            running: HashMap::new(),
            attempts: JoinSet::new(),
            tasks: HashMap::new(),
            ends,
            closing: None,
            closed: Vec::new(),
        }
    }

    /// Runs builds until it is closed, or until nobody has a handle of the queue any more. Returns who waits for that.
    pub(super) async fn run(mut self, mut notes: mpsc::UnboundedReceiver<Note>) -> Vec<oneshot::Sender<()>> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clean = interval(CLEAN);
        clean.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        loop {
            if self.orchestrator.is_ending() && self.closing.is_none() {
                self.closing = Some(Instant::now() + LONGEST_GRACE);
            }
            self.start_what_may();
            if self.closing.is_some() && self.attempts.is_empty() {
                break;
            }
            tokio::select! {
                note = notes.recv(), if open => if let Some(note) = note {
                    self.take(note).await;
                } else {
                    open = false;
                    self.closing = Some(Instant::now());
                    self.stop_all();
                },
                Some(ended) = self.attempts.join_next_with_id() => match ended {
                    Ok((task, said)) => self.attempt_ended(task, Ok(said)).await,
                    Err(error) => self.attempt_ended(error.id(), Err(error.to_string())).await,
                },
                _ = tick.tick() => self.look().await,
                _ = clean.tick() => self.clean(),
            }
        }
        self.ends.remember_told().await;
        self.closed
    }

    async fn take(&mut self, note: Note) {
        match note {
            Note::Recorded { record, seat, superseded, to_cancel } => {
                for id in superseded {
                    self.has_ended(&id, BuildState::Superseded).await;
                }
                for id in to_cancel {
                    self.stop(&id, Why::Cancelled);
                }
                self.recorded(*record, seat).await;
            }
            Note::Ended(id) => self.has_ended(&id, BuildState::Cancelled).await,
            Note::Cancel(id) => self.stop(&id, Why::Cancelled),
            Note::Report(tenant, reply) => {
                let wanted = |running: &&Running| {
                    tenant.as_ref().is_none_or(|tenant| running.record.tenant == *tenant)
                };
                let running = self.running.values().filter(wanted).map(|running| running.record.id.clone());
                let mut running: Vec<BuildId> = running.collect();
                running.sort();
                let (waiting, tenants) = (self.waiting.report(tenant.as_ref()), self.waiting.counts());
                let _ = reply.send(BuildsReport { waiting, running, tenants });
            }
            Note::Load(reply) => {
                let (tenants, oldest) = (self.waiting.counts(), self.waiting.oldest());
                let _ = reply.send(BuildsLoad { tenants, oldest });
            }
            Note::Lanes(id, reply) => {
                let running = self.running.get(&id);
                let lanes = running.map(|running| {
                    running.lanes.lock().unwrap_or_else(PoisonError::into_inner).get().to_vec()
                });
                let _ = reply.send(lanes);
            }
            Note::Place(id, reply) => {
                let _ = reply.send(self.waiting.place(&id));
            }
            Note::Disk(is_full) => self.waiting.set_disk_is_full(is_full),
            Note::Options(options) => {
                for (id, refusal) in self.waiting.set_options(&options, Timestamp::now()) {
                    self.refuse(&id, refusal).await;
                }
            }
            Note::Close { grace, done } => {
                self.closed.push(done);
                let when = Instant::now() + grace.min(LONGEST_GRACE);
                self.closing = Some(self.closing.map_or(when, |before| before.min(when)));
                if grace.is_zero() {
                    self.stop_all();
                }
            }
        }
    }

    /// Takes in a build that waits, or what has changed of it.
    pub(super) async fn recorded(&mut self, record: BuildRecord, seat: Option<Seat<Tenant>>) {
        if let Some(running) = self.running.get_mut(&record.id) {
            running.record.serve_as_well(&record);
            return;
        }
        if record.state != BuildState::Queued {
            return;
        }
        let id = record.id.clone();
        if let Err(refusal) = self.waiting.push(record, seat, Timestamp::now()) {
            self.refuse(&id, refusal).await;
        }
    }

    /// Ends a build that could never run.
    async fn refuse(&mut self, id: &BuildId, refusal: Refusal) {
        let error = match refusal.clone() {
            Refusal::TooLarge { resource, asked, limit } => BuildError::TooLarge { resource, asked, limit },
            Refusal::Known => BuildError::invalid(refusal.to_string()),
        };
        self.ends.end(id, End::Failed { reason: error.to_string(), error }).await;
    }

    /// Begins the builds whose turn it is.
    fn start_what_may(&mut self) {
        while self.closing.is_none() {
            let Some(record) = self.waiting.pop(Timestamp::now()) else { return };
            let running = Running {
                stop: Stop::default(),
                lanes: Arc::new(Mutex::new(Lanes::waiting(&record.about.platforms))),
                record,
            };
            let attempt = Attempt {
                orchestrator: self.orchestrator.clone(),
                records: self.records.clone(),
                logs: self.logs.clone(),
                counts: self.counts.clone(),
                record: running.record.clone(),
                stop: running.stop.clone(),
                lanes: Arc::clone(&running.lanes),
                scopes: self.waiting.options().scopes,
                require_resources: self.waiting.options().require_resources,
            };
            let id = running.record.id.clone();
            self.running.insert(id.clone(), running);
            let task = self.attempts.spawn(attempt.run());
            self.tasks.insert(task.id(), id);
        }
    }

    /// Gives the turn of a build back, however its attempt ended.
    async fn attempt_ended(&mut self, task: Id, ended: Result<Said, String>) {
        let Some(id) = self.tasks.remove(&task) else { return };
        if let Some(running) = self.running.remove(&id) {
            self.waiting.release(&running.record, Timestamp::now());
        }
        match ended {
            Ok(said) => self.ends.said(id, said),
            Err(reason) => {
                let error = BuildError::Host { reason: reason.clone(), retryable: false };
                self.ends.end(&id, End::Failed { error, reason }).await;
            }
        }
    }

    /// Takes a build out whose record says that it has ended.
    async fn has_ended(&mut self, id: &BuildId, state: BuildState) {
        self.waiting.remove(id);
        self.ends.noted(id, state, self.running.contains_key(id)).await;
    }

    fn stop(&self, id: &BuildId, why: Why) {
        if let Some(running) = self.running.get(id) {
            running.stop.fire(why);
        }
    }

    fn stop_all(&self) {
        self.running.values().for_each(|running| running.stop.fire(Why::Closing));
    }

    /// Ends what is late, tells places, and tries again what could not be written down.
    async fn look(&mut self) {
        let now = Timestamp::now();
        self.ends.try_again().await;
        if self.closing.is_some_and(|when| when <= Instant::now()) {
            self.stop_all();
        }
        for running in self.running.values() {
            if overdue(&running.record, now) == Some(TimedPart::Deadline) {
                running.stop.fire(Why::Deadline);
            }
        }
        for (id, part) in self.waiting.overdue(now) {
            let Some(record) = self.waiting.remove(&id) else { continue };
            let limit = record.limits.of(part).unwrap_or_default();
            let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            let error = BuildError::TimedOut { part, limit_ms };
            self.ends.end(&id, End::TimedOut { reason: error.to_string(), error }).await;
        }
        for (id, place) in self.waiting.news(MOST_TOLD, now) {
            note(&self.logs, &id, EventKind::Queued { ahead: place.ahead, reason: place.reason }).await;
        }
        self.ends.remember_told().await;
    }

    fn clean(&self) {
        let (records, logs) = (self.records.clone(), self.logs.clone());
        let retention = self.waiting.options().retention.clone();
        // Its end is nobody's business: the next one goes on where it stops.
        self.orchestrator.spawn(async move {
            if let Err(error) = carry_out(&records, &logs, &retention, Timestamp::now()).await {
                tracing::warn!(%error, "old builds were not removed");
            }
        });
    }
}

//! The actors of the backends: started, replaced when lost, and closed at the end.

use std::{thread, time::Duration};

use actix::prelude::*;
use futures::future::join_all;
use tokio::{sync::oneshot, time::timeout};

use super::BuildSupervisor;
use crate::{
    BackendId, BackendReport, Capabilities, EventKind, SharedBackend, Timestamp,
    backend_actor::{BackendActor, Close, panic_message},
    queue::Resource,
};

/// The wait before a lost backend gets a new actor; each further one is twice as long.
const RESTART_BACKOFF: Duration = Duration::from_millis(50);

/// The longest such wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// How long a backend keeps its actor until earlier losses count no more.
const CALM: Duration = Duration::from_mins(10);

/// How long the threads of closed backends may take to end.
const PARTING: Duration = Duration::from_secs(10);

/// A backend and the actor that runs it now.
pub(super) struct Lane {
    backend: SharedBackend,
    pub(super) slots: usize,
    pub(super) actor: Addr<BackendActor>,
    pub(super) arbiter: Arbiter,
    /// Counts the actors from 0.
    pub(super) generation: u32,
    losses: Losses,
}

/// How often a backend's actor was lost lately.
#[derive(Clone, Copy, Debug, Default)]
struct Losses {
    count: u32,
    last: Option<Timestamp>,
}

impl Losses {
    /// Counts a loss; how long to wait before the next actor, or nothing where there were more than `most`.
    fn next(&mut self, now: Timestamp, most: u32) -> Option<Duration> {
        let is_calm = |last: Timestamp| u128::from(now.0.saturating_sub(last.0)) >= CALM.as_millis();
        if self.last.is_some_and(is_calm) {
            self.count = 0;
        }
        self.last = Some(now);
        self.count += 1;
        let doubled = 2_u32.saturating_pow(self.count - 1);
        (self.count <= most).then(|| RESTART_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF))
    }
}

impl BuildSupervisor {
    /// Opens a new actor for a backend whose actor is gone, or gives the backend up.
    pub(super) fn restart(&mut self, backend: &BackendId, generation: u32, cx: &mut Context<Self>) {
        let Some(lane) = self.lanes.get_mut(backend) else { return };
        // Another request on the same lost actor has had it replaced already.
        if lane.generation != generation {
            return;
        }
        lane.arbiter.stop();
        self.queue.hold(&Resource::Backend(backend.clone()), true);
        let Some(wait) = lane.losses.next(Timestamp::now(), self.config.restarts) else {
            let reason = format!("was lost {} times and given up", lane.losses.count);
            tracing::error!(%backend, "{reason}");
            self.lanes.remove(backend);
            self.table.rule_out(backend, &reason);
            self.queue.set_limit(Resource::Backend(backend.clone()), None);
            for ticket in self.queue.drain(&Resource::Backend(backend.clone())) {
                self.retry(ticket, cx);
            }
            return;
        };
        lane.generation += 1;
        let (actor, arbiter) = start_actor(&lane.backend, lane.slots);
        (lane.actor, lane.arbiter) = (actor, arbiter);
        tracing::warn!(%backend, losses = lane.losses.count, "the backend's actor was lost; a new one takes its place");
        for job in self.jobs.values().filter(|job| job.route.backend == *backend) {
            job.events.emit(EventKind::BackendRestarted { backend: backend.clone() });
        }
        let backend = backend.clone();
        cx.run_later(wait, move |supervisor, cx| {
            supervisor.queue.hold(&Resource::Backend(backend), false);
            supervisor.start_what_may(cx);
        });
    }

    /// Lets every backend give back what it holds, and stops when their threads have ended.
    pub(super) fn close_backends(&mut self, cx: &mut Context<Self>) {
        let lanes: Vec<Lane> = self.lanes.drain().map(|(_, lane)| lane).collect();
        let closing = async move {
            join_all(lanes.iter().map(|lane| lane.actor.send(Close))).await;
            let (ended, end) = oneshot::channel();
            // A thread of its own and a limit: a backend that blocks its arbiter must not keep the process.
            let parting = thread::Builder::new().name("polyarch-parting".into()).spawn(move || {
                lanes.into_iter().for_each(Lane::end);
                let _ = ended.send(());
            });
            if parting.is_ok() && timeout(PARTING, end).await.is_err() {
                tracing::warn!("a backend's thread did not end");
            }
        };
        cx.spawn(closing.into_actor(self).map(|(), supervisor, cx| {
            for waiting in supervisor.shutdown.take().unwrap_or_default() {
                let _ = waiting.send(());
            }
            cx.stop();
        }));
    }
}

impl Lane {
    pub(super) fn start(backend: SharedBackend, slots: usize) -> Self {
        let (actor, arbiter) = start_actor(&backend, slots);
        Self { backend, slots, actor, arbiter, generation: 0, losses: Losses::default() }
    }

    /// Stops the arbiter and waits for its thread.
    fn end(self) {
        self.arbiter.stop();
        if self.arbiter.join().is_err() {
            tracing::warn!(backend = %self.backend.id(), "a backend's thread panicked");
        }
    }
}

/// Asks a backend what it can do; a panic there makes it unusable and nothing more.
pub(super) async fn probe(backend: &SharedBackend) -> BackendReport {
    let id = backend.id();
    let asked = backend.clone();
    let capabilities = actix::spawn(async move { asked.probe().await }).await.unwrap_or_else(|error| {
        let why = error.try_into_panic().map_or_else(|lost| lost.to_string(), |panic| panic_message(&*panic));
        Capabilities::unusable(format!("failed while it was probed ({why})"), "report this as a defect")
    });
    BackendReport { id, capabilities }
}

fn start_actor(backend: &SharedBackend, slots: usize) -> (Addr<BackendActor>, Arbiter) {
    let arbiter = Arbiter::new();
    let backend = backend.clone();
    let actor = BackendActor::start_in_arbiter(&arbiter.handle(), move |_| BackendActor::new(backend, slots));
    (actor, arbiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_given_up_that_is_lost_again_and_again_but_not_for_losses_of_long_ago() {
        let mut losses = Losses::default();
        let at = |minutes: u64| Timestamp(minutes * 60_000);
        let millis = |wait: Option<Duration>| wait.map(|wait| wait.as_millis());
        assert_eq!(millis(losses.next(at(0), 2)), Some(50));
        assert_eq!(millis(losses.next(at(9), 2)), Some(100));
        assert_eq!(losses.next(at(9), 2), None);
        let mut losses = Losses::default();
        for minutes in (0..1000).step_by(10) {
            assert_eq!(millis(losses.next(at(minutes), 2)), Some(50));
        }
        let last = (0..100).filter_map(|_| losses.next(at(990), u32::MAX)).last();
        assert_eq!(last, Some(LONGEST_BACKOFF));
    }
}

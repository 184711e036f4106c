//! The way of one build through the supervisor: routed, queued, run, tried again, ended.

use std::collections::BTreeSet;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{BuildSupervisor, RunBuild, places::Told, turns::Ticket};
use crate::{
    BuildError, BuildId, BuildRequest, BuiltImage, EventKind, EventSink, Outcome, PlatformState, Route,
    collect::Collector, queue::Share,
};

/// One request on its way.
pub(super) struct Job {
    pub(super) request: BuildRequest,
    pub(super) place: usize,
    pub(super) route: Route,
    pub(super) attempt: u32,
    pub(super) share: Share,
    pub(super) events: EventSink,
    pub(super) cancel: CancellationToken,
    pub(super) state: JobState,
    pub(super) told: Option<Told>,
}

pub(super) enum JobState {
    Waiting,
    Running,
    BackingOff(SpawnHandle),
}

/// One build on its way.
pub(super) struct Running {
    collector: Collector,
    tickets: Vec<Ticket>,
    /// Fires for every platform at once, by the caller or by the failure policy.
    stop: CancellationToken,
    /// Why the platforms are stopped, once they are.
    stopped: Option<BuildError>,
    watch: Option<SpawnHandle>,
    reply: oneshot::Sender<Outcome>,
}

impl BuildSupervisor {
    /// Begins a build: routes every request before any of them starts.
    pub(super) fn take(
        &mut self,
        message: RunBuild,
        reply: oneshot::Sender<Outcome>,
        cx: &mut Context<Self>,
    ) {
        let RunBuild { build, requests, policy, share, events, cancel } = message;
        let platforms: Vec<_> = requests.iter().map(|request| request.platform.clone()).collect();
        self.board.insert(build.clone(), &platforms);
        let running = Running {
            collector: Collector::new(build.clone(), &requests, policy),
            tickets: Vec::new(),
            stop: CancellationToken::new(),
            stopped: None,
            watch: None,
            reply,
        };
        let stop = running.stop.clone();
        self.builds.insert(build.clone(), running);
        let refusal = self.refusal(&cancel, requests.len());
        let mut failed = Vec::new();
        let mut routed = Vec::new();
        let mut unheld = BTreeSet::new();
        let of_build = events;
        for (place, request) in requests.into_iter().enumerate() {
            let events = of_build.for_platform(&request.platform);
            let route = refusal.clone().map_or_else(|| self.table.route(&request), Err);
            let route = match route {
                Ok(route) => route,
                Err(error) => {
                    failed.push((place, error, events));
                    continue;
                }
            };
            events.emit(EventKind::Routed {
                backend: route.backend.clone(),
                emulated: route.emulated,
                reason: route.reason.clone(),
                ruled_out: route.ruled_out.clone(),
            });
            unheld.extend(self.table.unheld(&route, &request));
            let cancel = stop.child_token();
            let (share, state) = (share.clone(), JobState::Waiting);
            let job = Job { request, place, route, attempt: 0, share, events, cancel, state, told: None };
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.jobs.insert(ticket, job);
            routed.push(ticket);
        }
        // Once for the build, however many of its platforms are concerned.
        for message in unheld {
            of_build.emit(EventKind::Warned { message });
        }
        let watched = build.clone();
        let cancelled = async move { cancel.cancelled().await }.into_actor(self);
        let watch = cx.spawn(cancelled.map(move |(), supervisor, cx| {
            supervisor.stop(&watched, &BuildError::Cancelled, cx);
            // What was kept for those that waited is free.
            supervisor.start_what_may(cx);
        }));
        if let Some(running) = self.builds.get_mut(&build) {
            running.tickets.clone_from(&routed);
            running.watch = Some(watch);
        }
        for ticket in routed {
            self.enqueue(ticket, cx);
        }
        for (place, error, events) in failed {
            self.end(&build, place, &events, Err(error), cx);
        }
        self.finish_if_complete(&build, cx);
        self.start_what_may(cx);
    }

    /// Why no request of a build can be taken now.
    fn refusal(&self, cancel: &CancellationToken, requests: usize) -> Option<BuildError> {
        if self.shutdown.is_some() {
            Some(BuildError::ShuttingDown)
        } else if cancel.is_cancelled() {
            Some(BuildError::Cancelled)
        } else if self.queue.waiting() + requests > self.config.max_waiting {
            Some(BuildError::QueueFull { limit: self.config.max_waiting })
        } else {
            None
        }
    }

    /// Decides what the end of one attempt means: the image, another attempt, or the failure.
    pub(super) fn attempt_ended(
        &mut self,
        ticket: Ticket,
        result: Result<BuiltImage, BuildError>,
        cx: &mut Context<Self>,
    ) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        let build = job.request.build.clone();
        let result = result.and_then(|image| checked(image, job));
        let stopped = self.builds.get(&build).and_then(|running| running.stopped.clone());
        let result = match (result, stopped) {
            (Ok(image), _) => Ok(image),
            (Err(BuildError::Cancelled), Some(reason)) => Err(reason),
            (Err(error), Some(_)) => Err(error),
            (Err(error), None) => match self.config.retry.delay(&error, job.attempt) {
                None => Err(error),
                Some(delay) => {
                    job.attempt += 1;
                    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                    job.events.emit(EventKind::Retried { attempt: job.attempt, delay_ms, error });
                    self.board.set(&build, job.place, PlatformState::BackingOff);
                    let later = cx.run_later(delay, move |supervisor, cx| supervisor.retry(ticket, cx));
                    job.state = JobState::BackingOff(later);
                    return;
                }
            },
        };
        self.finish_job(ticket, result, cx);
    }

    /// Routes a request anew after a fault: its backend may have been given up meanwhile.
    pub(super) fn retry(&mut self, ticket: Ticket, cx: &mut Context<Self>) {
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        match self.table.route(&job.request) {
            Ok(route) => {
                if route.backend != job.route.backend {
                    job.events.emit(EventKind::Routed {
                        backend: route.backend.clone(),
                        emulated: route.emulated,
                        reason: route.reason.clone(),
                        ruled_out: route.ruled_out.clone(),
                    });
                }
                job.route = route;
                self.enqueue(ticket, cx);
            }
            Err(error) => self.finish_job(ticket, Err(error), cx),
        }
        self.start_what_may(cx);
    }

    pub(super) fn finish_job(
        &mut self,
        ticket: Ticket,
        result: Result<BuiltImage, BuildError>,
        cx: &mut Context<Self>,
    ) {
        let Some(job) = self.jobs.remove(&ticket) else { return };
        let build = job.request.build;
        self.end(&build, job.place, &job.events, result, cx);
        self.finish_if_complete(&build, cx);
    }

    /// Records how one platform ended and stops the others if the policy says so.
    fn end(
        &mut self,
        build: &BuildId,
        place: usize,
        events: &EventSink,
        result: Result<BuiltImage, BuildError>,
        cx: &mut Context<Self>,
    ) {
        let (state, event) = match &result {
            Ok(image) => (PlatformState::Built, EventKind::ImageBuilt { image: image.clone() }),
            Err(error) => (PlatformState::Failed, EventKind::PlatformFailed { error: error.clone() }),
        };
        events.emit(event);
        self.board.set(build, place, state);
        let stop = self.builds.get_mut(build).and_then(|running| running.collector.record(place, result));
        if let Some(reason) = stop {
            self.stop(build, &reason, cx);
        }
    }

    /// Ends every platform that has not ended: at once if it waits, when the backend says so if it runs. Others may start
    /// then.
    pub(super) fn stop(&mut self, build: &BuildId, reason: &BuildError, cx: &mut Context<Self>) {
        let Some(running) = self.builds.get_mut(build) else { return };
        if running.stopped.is_some() {
            return;
        }
        running.stopped = Some(reason.clone());
        running.stop.cancel();
        for ticket in running.tickets.clone() {
            let Some(job) = self.jobs.get(&ticket) else { continue };
            match job.state {
                JobState::Running => continue,
                JobState::Waiting => {
                    self.queue.remove(&ticket);
                }
                JobState::BackingOff(later) => {
                    cx.cancel_future(later);
                }
            }
            self.finish_job(ticket, Err(reason.clone()), cx);
        }
    }

    fn finish_if_complete(&mut self, build: &BuildId, cx: &mut Context<Self>) {
        if !self.builds.get(build).is_some_and(|running| running.collector.is_complete()) {
            return;
        }
        let Some(running) = self.builds.remove(build) else { return };
        if let Some(watch) = running.watch {
            cx.cancel_future(watch);
        }
        self.board.remove(build);
        // Nobody waits any more when the caller dropped its handle; the build has ended all the same.
        let _ = running.reply.send(running.collector.finish());
        if self.shutdown.is_some() && self.builds.is_empty() {
            self.close_backends(cx);
        }
    }
}

/// Completes what a backend returned and makes sure that it is what was asked for.
fn checked(image: BuiltImage, job: &Job) -> Result<BuiltImage, BuildError> {
    let requested = &job.request.platform;
    if !requested.is_satisfied_by(&image.platform) {
        return Err(BuildError::WrongPlatform {
            requested: requested.clone(),
            built: image.platform.to_string(),
        });
    }
    Ok(BuiltImage { emulated: job.route.emulated, retries: job.attempt, ..image })
}

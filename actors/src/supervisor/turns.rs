//! What requests claim, when they wait, and how they begin.

use actix::prelude::*;
use tokio::time::Instant;

use super::{BuildSupervisor, SetLimits, builds::JobState};
use crate::{
    BuildCx, BuildError, EventKind, PlatformState, Timestamp,
    backend_actor::Assignment,
    queue::{Claims, Entry, Place, Refusal, Resource},
    supervisor::builds::Job,
};

/// Names one request in the queue.
pub(super) type Ticket = u64;

/// Time that never goes back, beginning with what the machine's clock said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Timestamp,
    since: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: Timestamp::now(), since: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        let passed = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.began.0.saturating_add(passed))
    }
}

impl BuildSupervisor {
    pub(super) fn set_limits(&mut self, SetLimits { mut limits, weights }: SetLimits) {
        for (backend, lane) in &self.lanes {
            let slots = u64::try_from(lane.slots).unwrap_or(u64::MAX);
            let backend = Resource::Backend(backend.clone());
            let limit = limits.of(&backend).map_or(slots, |limit| limit.min(slots));
            limits.set(backend, Some(limit));
        }
        self.queue.set_limits(limits);
        self.queue.clear_weights();
        for (tenant, weight) in &weights {
            self.queue.set_weight(tenant, *weight);
        }
    }

    /// Queues a request, or ends it where it could never begin.
    pub(super) fn enqueue(&mut self, ticket: Ticket, cx: &mut Context<Self>) {
        let now = self.clock.now();
        let (memory, disk) = (self.config.memory, self.config.disk);
        let Some(job) = self.jobs.get_mut(&ticket) else { return };
        let entry = Entry {
            tenant: job.share.tenant.clone(),
            priority: job.share.priority,
            arrived: job.share.submitted,
            claims: claims(job, memory, disk),
        };
        match self.queue.push(ticket, entry, now) {
            // A request that is here already keeps its place.
            Ok(()) | Err(Refusal::Known) => {
                job.state = JobState::Waiting;
                job.told = None;
                self.announcer.has_new = true;
                let queued = PlatformState::Queued(Place::default());
                self.board.set(&job.request.build, job.place, queued);
            }
            Err(Refusal::TooLarge { resource, asked, limit }) => {
                self.finish_job(ticket, Err(BuildError::TooLarge { resource, asked, limit }), cx);
            }
        }
    }

    pub(super) fn start_what_may(&mut self, cx: &mut Context<Self>) {
        while let Some(ticket) = self.queue.pop(self.clock.now()) {
            let Some(job) = self.jobs.get_mut(&ticket) else {
                self.queue.release(&ticket, self.clock.now());
                continue;
            };
            let backend = job.route.backend.clone();
            let Some(lane) = self.lanes.get(&backend) else {
                self.queue.release(&ticket, self.clock.now());
                continue;
            };
            job.state = JobState::Running;
            let state = PlatformState::Running { backend: backend.clone(), retries: job.attempt };
            self.board.set(&job.request.build, job.place, state);
            let assignment = Assignment {
                request: job.request.clone(),
                cx: BuildCx {
                    events: job.events.clone(),
                    cancel: job.cancel.clone(),
                    emulated: job.route.emulated,
                },
            };
            job.events.emit(EventKind::Assigned { attempt: job.attempt + 1 });
            let generation = lane.generation;
            let sent = lane.actor.send(assignment).into_actor(self);
            cx.spawn(sent.map(move |answer, supervisor, cx| {
                supervisor.queue.release(&ticket, supervisor.clock.now());
                let result = answer.unwrap_or_else(|_| {
                    supervisor.restart(&backend, generation, cx);
                    Err(BuildError::BackendLost { backend: backend.clone() })
                });
                supervisor.attempt_ended(ticket, result, cx);
                supervisor.start_what_may(cx);
            }));
        }
        self.places_changed(cx);
    }
}

/// What a request takes while it runs, where `memory` and `disk` are those of one that says nothing.
fn claims(job: &Job, memory: u64, disk: u64) -> Claims {
    Claims::default()
        .with(Resource::Slots, 1)
        .with(Resource::Tenant(job.share.tenant.clone()), 1)
        .with(Resource::Backend(job.route.backend.clone()), 1)
        .with(Resource::Platform(job.request.platform.clone()), 1)
        .with(Resource::Memory, job.request.steps.memory.unwrap_or(memory))
        .with(Resource::Disk, disk)
}

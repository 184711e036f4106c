//! One actor per backend: admits builds up to its slots and returns every outcome.
//!
//! The actor decides *when* a build runs; [`BuildBackend`](crate::BuildBackend) does the work. It queues
//! nothing: when full it refuses, so the supervisor stays the only place that knows what is waiting. Each
//! build runs in a task of its own, so a panicking backend costs one build and not the actor. The actor stops
//! with its arbiter, which the supervisor owns; builds that still run then are dropped, which ends them.

use actix::prelude::*;
use tracing::Instrument as _;

use crate::{BackendId, BuildCx, BuildError, BuildRequest, BuiltImage, SharedBackend};

/// Messages that may wait in the mailbox before `send` has to.
const MAILBOX: usize = 64;

/// Owns one backend's slots.
pub(crate) struct BackendActor {
    id: BackendId,
    backend: SharedBackend,
    slots: usize,
    running: usize,
}

/// Asks the backend for one platform.
#[derive(Debug, Message)]
#[rtype(result = "Result<BuiltImage, BuildError>")]
pub(crate) struct Assignment {
    pub(crate) request: BuildRequest,
    pub(crate) cx: BuildCx,
}

/// Asks the backend to give back what it holds between builds.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Close;

impl BackendActor {
    pub(crate) fn new(backend: SharedBackend, slots: usize) -> Self {
        Self { id: backend.id(), backend, slots, running: 0 }
    }
}

impl Actor for BackendActor {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Self::Context) {
        cx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Assignment> for BackendActor {
    type Result = ResponseActFuture<Self, Result<BuiltImage, BuildError>>;

    fn handle(&mut self, Assignment { request, cx }: Assignment, _: &mut Self::Context) -> Self::Result {
        if self.running >= self.slots {
            return Box::pin(fut::err(BuildError::Busy { backend: self.id.clone() }));
        }
        self.running += 1;
        let backend = self.backend.clone();
        let span = cx.events.span();
        // A task of its own: a panic polled here would close this actor's mailbox for good.
        let task = actix::spawn(async move { backend.build(request, cx).await }.instrument(span));
        Box::pin(task.into_actor(self).map(|ended, actor, _| {
            actor.running -= 1;
            ended.unwrap_or_else(|lost| Err(actor.lost(lost)))
        }))
    }
}

impl Handler<Close> for BackendActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Close: Close, _: &mut Self::Context) -> Self::Result {
        let backend = self.backend.clone();
        let task = actix::spawn(async move { backend.close().await });
        Box::pin(async move {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a backend failed to close");
            }
        })
    }
}

impl BackendActor {
    fn lost(&self, error: tokio::task::JoinError) -> BuildError {
        let backend = self.id.clone();
        match error.try_into_panic() {
            Ok(panic) => BuildError::Panicked { backend, message: panic_message(&*panic) },
            Err(_) => BuildError::BackendLost { backend },
        }
    }
}

/// What a panic said, if it said it in words.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}

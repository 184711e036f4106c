//! A backend that tells a story of each attempt.

use std::sync::{Mutex, PoisonError};

use futures::{FutureExt as _, future::BoxFuture};
use polyarch::actors::{
    Availability, BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities,
    EventKind, ImageOs, Platform, StepStage, StepWork, testing,
};

/// Tells the next story with each attempt, and runs four at once. It has no stories for more attempts.
pub(crate) struct Teller {
    stories: Mutex<Vec<Story>>,
}

/// What happens in an attempt, and how it ends.
pub(crate) type Story = (Vec<EventKind>, End);

/// How an attempt ends.
pub(crate) enum End {
    Builds,
    Fails(BuildError),
    /// When it is cancelled.
    Hangs,
}

impl Teller {
    pub(crate) fn new(stories: Vec<Story>) -> Self {
        Self { stories: Mutex::new(stories) }
    }
}

impl BuildBackend for Teller {
    fn id(&self) -> BackendId {
        BackendId::new("teller")
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        let capabilities = Capabilities {
            availability: Availability::Usable("for tests".into()),
            native: vec![platform()],
            emulated: Vec::new(),
            assembles: vec![ImageOs::Linux],
            gives: [].into(),
            knows_steps: true,
            fetches_for_others: true,
            slots: 4,
            advice: Vec::new(),
        };
        async move { capabilities }.boxed()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        async move {
            let (events, end) = self.stories.lock().unwrap_or_else(PoisonError::into_inner).remove(0);
            let span = tracing::Span::current();
            let place = span.metadata().map(tracing::Metadata::name);
            assert!(span.is_disabled() || place == Some("attempt"), "{place:?}");
            for event in events {
                cx.events.emit(event);
            }
            match end {
                End::Builds => Ok(testing::image(&self.id(), &request.platform)),
                End::Fails(error) => Err(error),
                End::Hangs => {
                    cx.cancel.cancelled().await;
                    Err(BuildError::Cancelled)
                }
            }
        }
        .boxed()
    }
}

/// The platform that it builds.
pub(crate) fn platform() -> Platform {
    "linux/amd64".parse().expect("a platform")
}

pub(crate) fn started(step: u32, instruction: &str) -> EventKind {
    let stage = Some(StepStage { number: 0, name: Some("base".into()) });
    EventKind::StepStarted { step, instruction: instruction.into(), stage }
}

pub(crate) fn finished(step: u32, cached: bool, work: Option<StepWork>) -> EventKind {
    EventKind::StepFinished { step, cached, work: work.map(Box::new) }
}

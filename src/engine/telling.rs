//! What a build tells of its steps.

use std::sync::atomic::Ordering;

use polyarch_actors::{BuildError, EventKind, StepStage};

use super::{build::Build, meter::Meter};

impl Build {
    /// The number of a step that is about to begin.
    pub(super) fn next_step(&self) -> u32 {
        self.steps.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Does something as a step of a stage and tells about it.
    pub(super) async fn told<T>(
        &self,
        step: u32,
        of: usize,
        text: &str,
        meter: &Meter,
        work: impl Future<Output = Result<(T, bool), BuildError>>,
    ) -> Result<T, BuildError> {
        if self.cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
        let name = self.dockerfile.stages.get(of).and_then(|stage| stage.name.clone());
        let stage = Some(StepStage { number: u32::try_from(of).unwrap_or(u32::MAX), name });
        self.events.emit(EventKind::StepStarted { step, instruction: text.to_owned(), stage });
        match work.await {
            Ok((done, cached)) => {
                let work = Some(Box::new(meter.work(cached)));
                self.events.emit(EventKind::StepFinished { step, cached, work });
                Ok(done)
            }
            Err(BuildError::Cancelled) => Err(BuildError::Cancelled),
            Err(error) => {
                self.events.emit(EventKind::StepFailed { step, work: Some(Box::new(meter.work(true))) });
                Err(error)
            }
        }
    }

    /// How many steps were begun.
    pub(super) fn steps(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }
}

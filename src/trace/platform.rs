//! The spans of one platform of a build, of its events.

use std::collections::BTreeMap;

use polyarch_actors::{BackendId, BuildError, EventKind, Platform, StepStage, StepWork};
use tracing::{Span, field::Empty, info_span};

use super::{
    fields::{fail, mark, name_of, number},
    of_build::TARGET,
};

/// The open spans of one platform: each is below the one before.
#[derive(Debug)]
pub(super) struct PlatformSpans {
    /// Absent when it has ended.
    request: Option<Span>,
    backend: Option<BackendId>,
    route: Option<Span>,
    attempt: Option<Span>,
    steps: BTreeMap<u32, Step>,
    pulls: Vec<(String, Span)>,
}

#[derive(Debug)]
struct Step {
    span: Span,
    /// Kept to find the step that an error is about; it is in no span.
    instruction: String,
    has_failed: bool,
}

impl PlatformSpans {
    pub(super) fn below(build: &Span, platform: &Platform) -> Self {
        let request = info_span!(
            target: TARGET, parent: build, "request", %platform,
            fault = Empty, error.type = Empty, otel.status_code = Empty
        );
        Self {
            request: Some(request),
            backend: None,
            route: None,
            attempt: None,
            steps: BTreeMap::new(),
            pulls: Vec::new(),
        }
    }

    /// The innermost span that all work on the platform is in.
    pub(super) fn inner(&self) -> Option<&Span> {
        self.attempt.as_ref().or(self.route.as_ref()).or(self.request.as_ref())
    }

    pub(super) fn see(&mut self, kind: &EventKind) {
        let Some(request) = &self.request else { return };
        match kind {
            EventKind::Routed { backend, emulated, reason, .. } => {
                self.route = Some(info_span!(
                    target: TARGET, parent: request, "route", %backend, emulated, reason
                ));
                self.backend = Some(backend.clone());
            }
            EventKind::Assigned { attempt } => {
                let backend = self.backend.as_ref().map(BackendId::as_str);
                self.attempt = Some(info_span!(
                    target: TARGET, parent: self.inner().and_then(Span::id), "attempt", backend, number = i64::from(*attempt),
                    fault = Empty, error.type = Empty, otel.status_code = Empty
                ));
            }
            EventKind::Retried { error, .. } => self.end_attempt(Some(error)),
            EventKind::PullStarted { image } => {
                let pull = info_span!(target: TARGET, parent: self.inner().and_then(Span::id), "pull", bytes = Empty);
                self.pulls.push((image.clone(), pull));
            }
            EventKind::Pulled { image, bytes } => {
                if let Some(at) = self.pulls.iter().position(|(open, _)| open == image) {
                    let (_, pull) = self.pulls.swap_remove(at);
                    pull.record("bytes", bytes.map(number));
                }
            }
            EventKind::StepStarted { step, instruction, stage } => {
                self.begin_step(*step, instruction, stage.as_ref());
            }
            EventKind::StepFinished { step, cached, work } => {
                if let Some(step) = self.steps.remove(step) {
                    step.end(*cached, work.as_deref());
                }
            }
            EventKind::StepFailed { step, .. } => {
                // Its exit code comes with the end of the platform.
                if let Some(step) = self.steps.get_mut(step) {
                    step.has_failed = true;
                    mark(&step.span);
                }
            }
            EventKind::ImageBuilt { .. } => self.close(None),
            EventKind::PlatformFailed { error } => self.close(Some(error)),
            _ => {}
        }
    }

    /// Ends everything.
    pub(super) fn close(&mut self, error: Option<&BuildError>) {
        self.end_attempt(error);
        self.route = None;
        if let (Some(request), Some(error)) = (self.request.take(), error) {
            fail(&request, error);
        }
    }

    fn begin_step(&mut self, index: u32, instruction: &str, stage: Option<&StepStage>) {
        let stage_name = stage.and_then(|stage| stage.name.as_deref());
        let span = info_span!(
            target: TARGET, parent: self.inner().and_then(Span::id), "step",
            index = i64::from(index), stage = stage.map(|stage| i64::from(stage.number)), stage_name,
            instruction = name_of(instruction), cached = Empty, shared = Empty, emulated = Empty,
            exit_code = Empty, otel.status_code = Empty
        );
        let instruction = instruction.to_owned();
        self.steps.insert(index, Step { span, instruction, has_failed: false });
    }

    fn end_attempt(&mut self, error: Option<&BuildError>) {
        if let Some(BuildError::StepFailed { instruction, exit_code, .. }) = error {
            let failed = self.steps.values().find(|step| step.has_failed);
            let same = || self.steps.values().find(|step| step.instruction == *instruction);
            if let Some(step) = failed.or_else(same) {
                mark(&step.span);
                step.span.record("exit_code", exit_code);
            }
        }
        self.steps.clear();
        self.pulls.clear();
        if let (Some(attempt), Some(error)) = (self.attempt.take(), error) {
            fail(&attempt, error);
        }
    }
}

impl Step {
    fn end(&self, cached: bool, work: Option<&StepWork>) {
        self.span.record("cached", cached);
        if work.is_some_and(|work| work.shared) {
            self.span.record("shared", true);
        }
        if work.is_some_and(|work| work.emulated) {
            self.span.record("emulated", true);
        }
    }
}

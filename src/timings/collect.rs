//! From the events of a build to its timings, one event at a time and without a clock.

use std::{collections::HashMap, sync::Arc};

use futures::{Stream, StreamExt as _};
use polyarch_actors::{BuildError, BuildEvent, EventKind, Platform, StepWork, Timestamp};

use super::model::{
    PhaseKind, PhaseTiming, PlatformEnd, PlatformTiming, PullTiming, Span, StepEnd, StepTiming, Timings,
};

/// How many characters of an instruction are kept.
const LONGEST_INSTRUCTION: usize = 500;

/// Takes the events of one build in their order.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    /// When the first event was, in milliseconds since 1970.
    first: Option<u64>,
    /// The time of the newest event, in milliseconds since the first. It never goes back, whatever the clock does.
    now: u64,
    failed: bool,
    missed: u64,
    platforms: Vec<Open>,
    phases: Vec<PhaseTiming>,
    /// When the last thing ended that is done once for all platforms, or the last platform.
    mark: u64,
    /// Registries that are being filled, and since when.
    pushing: Vec<(String, u64)>,
}

/// A platform on its way.
#[derive(Clone, Debug)]
struct Open {
    timing: PlatformTiming,
    has_ended: bool,
    /// The places of the steps that have no end yet.
    running: HashMap<u32, usize>,
    pulling: Vec<(String, u64)>,
}

impl Timings {
    /// Collects until the build has ended.
    pub async fn collect(mut events: impl Stream<Item = Arc<BuildEvent>> + Unpin) -> Self {
        let mut collector = Collector::default();
        while let Some(event) = events.next().await {
            collector.take(&event);
        }
        collector.finish()
    }
}

impl Collector {
    /// Takes the next event.
    pub fn take(&mut self, event: &BuildEvent) {
        let first = *self.first.get_or_insert(event.time.0);
        self.now = self.now.max(event.time.0.saturating_sub(first));
        match &event.platform {
            Some(platform) => self.of_platform(platform, &event.kind),
            None => self.of_build(&event.kind),
        }
    }

    /// What is known by now. Whatever has no end yet ends with the newest event.
    pub fn finish(mut self) -> Timings {
        let now = self.now;
        for (registry, since) in std::mem::take(&mut self.pushing) {
            self.phase(PhaseKind::Pushing, Some(registry), since);
        }
        let platforms = self.platforms.into_iter().map(|mut open| {
            open.close(now, PlatformEnd::Stopped);
            open.timing
        });
        Timings {
            started: Timestamp(self.first.unwrap_or_default()),
            duration_ms: now,
            failed: self.failed,
            missed: self.missed,
            platforms: platforms.collect(),
            phases: self.phases,
        }
    }

    fn of_build(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Fetched { address } => self.next_phase(PhaseKind::Fetching, Some(address.clone())),
            EventKind::CacheImported { place, .. } => {
                self.next_phase(PhaseKind::ImportingCache, Some(place.clone()));
            }
            EventKind::IndexAssembled { .. } => self.next_phase(PhaseKind::Assembling, None),
            EventKind::Exported { destination } => {
                self.next_phase(PhaseKind::Exporting, Some(destination.clone()));
            }
            EventKind::PushStarted { registry } => self.pushing.push((registry.clone(), self.now)),
            EventKind::PushFinished { registry } => {
                if let Some(at) = self.pushing.iter().position(|(open, _)| open == registry) {
                    let (registry, since) = self.pushing.swap_remove(at);
                    self.phase(PhaseKind::Pushing, Some(registry), since);
                    self.mark = self.now;
                }
            }
            EventKind::Pushed { reference, .. } => {
                self.next_phase(PhaseKind::Tagging, Some(reference.clone()));
            }
            EventKind::CacheExported { place, .. } => {
                self.next_phase(PhaseKind::ExportingCache, Some(place.clone()));
            }
            EventKind::Missed { events } => self.missed += events,
            EventKind::Finished { error } => self.failed = error.is_some(),
            _ => {}
        }
    }

    fn of_platform(&mut self, platform: &Platform, kind: &EventKind) {
        let now = self.now;
        if self.platforms.is_empty() {
            self.next_phase(PhaseKind::Preparing, None);
        }
        let known = self.platforms.iter().position(|open| open.timing.platform == *platform);
        let place = known.unwrap_or_else(|| {
            self.platforms.push(Open::new(platform.clone(), now));
            self.platforms.len() - 1
        });
        let open = &mut self.platforms[place];
        if open.has_ended {
            return;
        }
        let timing = &mut open.timing;
        match kind {
            EventKind::Routed { backend, emulated, .. } => {
                timing.backend = Some(backend.clone());
                timing.emulated = *emulated;
            }
            EventKind::Assigned { .. } => _ = timing.began_ms.get_or_insert(now),
            EventKind::Retried { .. } => open.stop_steps(now),
            EventKind::PullStarted { image } => open.pulling.push((image.clone(), now)),
            EventKind::Pulled { image, bytes } => open.pulled(image, *bytes, now),
            EventKind::StepStarted { step, instruction, stage } => {
                timing.began_ms.get_or_insert(now);
                open.running.insert(*step, timing.steps.len());
                timing.steps.push(StepTiming {
                    number: *step,
                    stage: stage.clone(),
                    instruction: shortened(instruction),
                    span: Span { start_ms: now, end_ms: now },
                    end: StepEnd::Stopped,
                    work: None,
                });
            }
            EventKind::StepFinished { step, cached, work } => {
                let end = match work {
                    Some(work) if work.shared => StepEnd::Shared,
                    _ if *cached => StepEnd::Cached,
                    _ => StepEnd::Done,
                };
                open.end_step(*step, end, work.clone(), now);
            }
            EventKind::StepFailed { step, work } => {
                // Whatever waits for a stage that failed fails too; only the first is the fault.
                let is_first = timing.steps.iter().all(|step| step.end != StepEnd::Failed);
                let end = if is_first { StepEnd::Failed } else { StepEnd::Stopped };
                open.end_step(*step, end, work.clone(), now);
            }
            EventKind::ImageBuilt { .. } => open.close(now, PlatformEnd::Built),
            EventKind::PlatformFailed { error } => {
                open.blame(error);
                let is_stopped = matches!(error, BuildError::Cancelled | BuildError::Abandoned { .. });
                open.close(now, if is_stopped { PlatformEnd::Stopped } else { PlatformEnd::Failed });
            }
            _ => {}
        }
        if self.platforms[place].has_ended {
            self.mark = now;
        }
    }

    /// Something that followed what ended last has ended now.
    fn next_phase(&mut self, kind: PhaseKind, about: Option<String>) {
        self.phase(kind, about, self.mark);
        self.mark = self.now;
    }

    fn phase(&mut self, kind: PhaseKind, about: Option<String>, start_ms: u64) {
        self.phases.push(PhaseTiming { kind, about, span: Span { start_ms, end_ms: self.now } });
    }
}

impl Open {
    fn new(platform: Platform, now: u64) -> Self {
        let timing = PlatformTiming {
            platform,
            backend: None,
            emulated: false,
            span: Span { start_ms: now, end_ms: now },
            began_ms: None,
            end: PlatformEnd::Stopped,
            pulls: Vec::new(),
            steps: Vec::new(),
        };
        Self { timing, has_ended: false, running: HashMap::new(), pulling: Vec::new() }
    }

    fn end_step(&mut self, number: u32, end: StepEnd, work: Option<Box<StepWork>>, now: u64) {
        let place = self.running.remove(&number);
        if let Some(step) = place.and_then(|place| self.timing.steps.get_mut(place)) {
            step.span.end_ms = now;
            (step.end, step.work) = (end, work);
        }
    }

    fn stop_steps(&mut self, now: u64) {
        for (_, place) in self.running.drain() {
            self.timing.steps[place].span.end_ms = now;
        }
    }

    fn pulled(&mut self, image: &str, bytes: Option<u64>, now: u64) {
        let open = self.pulling.iter().position(|(pulling, _)| pulling == image);
        let start_ms = open.map_or(now, |at| self.pulling.swap_remove(at).1);
        let span = Span { start_ms, end_ms: now };
        self.timing.pulls.push(PullTiming { image: image.to_owned(), span, bytes });
    }

    /// Finds the step that an error is about, where the backend did not say that it failed.
    fn blame(&mut self, error: &BuildError) {
        let BuildError::StepFailed { instruction, .. } = error else { return };
        let instruction = shortened(instruction);
        let steps = &mut self.timing.steps;
        if steps.iter().any(|step| step.end == StepEnd::Failed) {
            return;
        }
        let mut open = self.running.values().copied();
        if let Some(place) = open.find(|place| steps[*place].instruction == instruction) {
            steps[place].end = StepEnd::Failed;
        }
    }

    fn close(&mut self, now: u64, end: PlatformEnd) {
        if self.has_ended {
            return;
        }
        self.stop_steps(now);
        for (image, start_ms) in std::mem::take(&mut self.pulling) {
            let span = Span { start_ms, end_ms: now };
            self.timing.pulls.push(PullTiming { image, span, bytes: None });
        }
        (self.timing.span.end_ms, self.timing.end, self.has_ended) = (now, end, true);
    }
}

fn shortened(instruction: &str) -> String {
    match instruction.char_indices().nth(LONGEST_INSTRUCTION) {
        Some((end, _)) => format!("{}…", &instruction[..end]),
        None => instruction.to_owned(),
    }
}

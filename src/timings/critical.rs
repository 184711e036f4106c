//! What decided how long a build took: the chain of waits from its end back to its start.

use std::collections::HashSet;

use super::model::{PlatformEnd, PlatformTiming, Span, StepEnd, StepTiming, Timings};

/// How much later, in milliseconds, the end of a piece of work may be told than the end of who waited for it.
const TOLD_LATE: u64 = 50;

/// A part of the critical path. The parts follow each other from the start of the build to its end without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriticalPart {
    /// When.
    pub span: Span,
    /// What the build could not be shorter than.
    pub work: CriticalWork,
}

/// What a part of the critical path is about, by its place in the [`Timings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CriticalWork {
    /// Nothing that is known.
    Waiting,
    /// A platform waited for a slot.
    Queued {
        /// Its place.
        platform: usize,
    },
    /// A step, or the end of one that had to wait for what comes before in the path.
    Step {
        /// The place of its platform.
        platform: usize,
        /// Its place among the steps of the platform.
        step: usize,
    },
    /// Other work on a platform: before its first step, or its image after the last one.
    Platform {
        /// Its place.
        platform: usize,
    },
    /// Something that is done once for all platforms.
    Phase {
        /// Its place.
        phase: usize,
    },
}

impl Timings {
    /// The critical path, from the start of the build to its end.
    pub fn critical_path(&self) -> Vec<CriticalPart> {
        let mut walk = Walk { timings: self, at: self.duration_ms, parts: Vec::new() };
        walk.go_back();
        walk.parts.reverse();
        walk.parts
    }
}

/// The way back.
struct Walk<'t> {
    timings: &'t Timings,
    /// Everything later is explained.
    at: u64,
    parts: Vec<CriticalPart>,
}

type Place = (usize, usize);

impl Walk<'_> {
    fn go_back(&mut self) {
        let platforms = self.timings.platforms.iter().enumerate();
        // What was only stopped was stopped by something else.
        let last =
            platforms.max_by_key(|(_, timing)| (timing.end != PlatformEnd::Stopped, timing.span.end_ms));
        if let Some((platform, timing)) = last {
            self.phases(timing.span.end_ms);
            self.explain(timing.span.end_ms, CriticalWork::Waiting);
            self.platform(platform);
        }
        self.phases(0);
        self.explain(0, CriticalWork::Waiting);
    }

    /// What is not explained from `start` on was `work`.
    fn explain(&mut self, start: u64, work: CriticalWork) {
        if start < self.at {
            self.parts.push(CriticalPart { span: Span { start_ms: start, end_ms: self.at }, work });
            self.at = start;
        }
    }

    /// Goes back through what was done once for all platforms, until `earliest`.
    fn phases(&mut self, earliest: u64) {
        loop {
            let phases = self.timings.phases.iter().enumerate();
            let before = phases.filter(|(_, phase)| {
                let Span { start_ms, end_ms } = phase.span;
                start_ms >= earliest && start_ms < end_ms && end_ms <= self.at
            });
            let Some((phase, timing)) = before.max_by_key(|(_, phase)| phase.span.end_ms) else { return };
            let span = timing.span;
            self.explain(span.end_ms, CriticalWork::Waiting);
            self.explain(span.start_ms, CriticalWork::Phase { phase });
        }
    }

    fn platform(&mut self, platform: usize) {
        let timing = &self.timings.platforms[platform];
        let steps = timing.steps.iter().enumerate().filter(|(_, step)| step.span.end_ms <= self.at);
        let is_fault = |step: &StepTiming| timing.end == PlatformEnd::Failed && step.end == StepEnd::Failed;
        let last = steps.max_by_key(|(_, step)| (is_fault(step), step.span.end_ms));
        let mut seen = HashSet::new();
        let mut next = last.map(|(step, _)| (platform, step));
        if let Some(place) = next {
            self.explain(self.step(place).span.end_ms, CriticalWork::Platform { platform });
        }
        let mut root = platform;
        while let Some(place) = next {
            seen.insert(place);
            root = place.0;
            let begun = self.step(place).span.start_ms;
            next = self.before(place, &seen);
            let end = next.map(|before| self.step(before).span.end_ms);
            let work = CriticalWork::Step { platform: place.0, step: place.1 };
            self.explain(end.unwrap_or(0).max(begun), work);
            self.explain(end.unwrap_or(begun), CriticalWork::Waiting);
        }
        let PlatformTiming { span, began_ms, .. } = &self.timings.platforms[root];
        let began = began_ms.unwrap_or(span.end_ms);
        self.explain(began, CriticalWork::Platform { platform: root });
        self.explain(span.start_ms, CriticalWork::Queued { platform: root });
    }

    /// The last thing that a step could not go on without, of what is not in the path yet.
    fn before(&self, (platform, at): Place, seen: &HashSet<Place>) -> Option<Place> {
        let step = self.step((platform, at));
        let own = self.timings.platforms[platform].steps.iter().enumerate();
        let own = own.filter(|(other, _)| *other != at).map(|(other, timing)| ((platform, other), timing));
        let stage = step.stage.as_ref().map(|stage| stage.number);
        let stage_of = |other: &StepTiming| other.stage.as_ref().map(|stage| stage.number);
        // Steps that take no time end when the next begins, so their order counts too.
        let before_it = own.clone().filter(|((_, place), other)| {
            *place < at && stage_of(other) == stage && other.span.end_ms <= step.span.start_ms
        });
        let needed = step.work.iter().flat_map(|work| &work.stages).filter_map(|wanted| {
            let of_stage = own.clone().filter(|(_, other)| stage_of(other) == Some(*wanted));
            let in_time = of_stage.filter(|(_, other)| other.span.end_ms <= step.span.end_ms + TOLD_LATE);
            in_time.max_by_key(|((_, place), other)| (other.span.end_ms, *place))
        });
        let all = before_it.chain(needed).chain(self.at_the_same_work((platform, at)));
        let new = all.filter(|(place, _)| !seen.contains(place));
        new.max_by_key(|(place, other)| (other.span.end_ms, *place)).map(|(place, _)| place)
    }

    /// The steps that did what a step waited for.
    fn at_the_same_work(&self, place: Place) -> impl Iterator<Item = (Place, &StepTiming)> {
        let step = self.step(place);
        let waited = step.work.as_ref().filter(|work| work.shared || work.waited_ms > 0);
        let platforms = self.timings.platforms.iter().enumerate().filter(move |_| waited.is_some());
        let steps = platforms.flat_map(|(platform, timing)| {
            timing.steps.iter().enumerate().map(move |(at, other)| ((platform, at), other))
        });
        steps.filter(move |(other_place, other)| {
            let is_common = |key| waited.is_some_and(|waited| waited.keys.contains(key));
            *other_place != place
                && matches!(other.end, StepEnd::Done | StepEnd::Failed)
                && other.work.as_ref().is_some_and(|work| work.keys.iter().any(is_common))
                && other.span.end_ms > step.span.start_ms
                && other.span.end_ms <= step.span.end_ms + TOLD_LATE
        })
    }

    fn step(&self, (platform, step): Place) -> &StepTiming {
        &self.timings.platforms[platform].steps[step]
    }
}

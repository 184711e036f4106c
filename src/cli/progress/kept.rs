//! Which platforms were built without doing any of their steps.

use std::collections::{HashMap, HashSet};

use polyarch_actors::{BuildEvent, EventKind, Platform};

/// The instructions that take work; what others do is told nowhere.
const WORK: [&str; 3] = ["RUN", "COPY", "ADD"];

/// What became of the steps so far.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The steps that take work and are not at their end.
    open: HashSet<(Option<Platform>, u32)>,
    /// Of each platform, how many of those were there already, and how many were done.
    ended: HashMap<Option<Platform>, (u32, u32)>,
}

impl Kept {
    /// Takes an event. Returns what is to be said behind it.
    pub(super) fn note(&mut self, event: &BuildEvent) -> &'static str {
        let platform = &event.platform;
        match &event.kind {
            EventKind::StepStarted { step, instruction, .. } => {
                let word = instruction.split_whitespace().next().unwrap_or_default();
                if WORK.iter().any(|work| word.eq_ignore_ascii_case(work)) {
                    self.open.insert((platform.clone(), *step));
                }
            }
            EventKind::StepFinished { step, cached, .. } if self.open.remove(&(platform.clone(), *step)) => {
                let (there, done) = self.ended.entry(platform.clone()).or_default();
                *(if *cached { there } else { done }) += 1;
            }
            EventKind::ImageBuilt { .. } => {
                if matches!(self.ended.get(platform), Some((1.., 0))) {
                    return ", every step cached";
                }
            }
            _ => {}
        }
        ""
    }
}

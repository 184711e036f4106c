//! From the events of one attempt of a build to counters.

use std::collections::{BTreeSet, HashMap};

use polyarch_actors::{BackendId, BuildEvent, EventKind, Platform};

use super::counters::Counts;

/// Takes the events of one attempt in their order.
#[derive(Debug)]
pub(in crate::queue) struct AttemptCounts {
    counts: Counts,
    backends: HashMap<Platform, BackendId>,
    /// The registries that are being filled.
    filling: BTreeSet<String>,
    /// The most bytes that were told of the filling that goes on.
    sent: u64,
}

impl AttemptCounts {
    pub(in crate::queue) fn new(counts: Counts) -> Self {
        Self { counts, backends: HashMap::new(), filling: BTreeSet::new(), sent: 0 }
    }

    /// Counts what happened.
    pub(in crate::queue) fn see(&mut self, event: &BuildEvent) {
        match &event.platform {
            Some(platform) => self.of_platform(platform, &event.kind),
            None => self.of_build(&event.kind),
        }
    }

    fn of_platform(&mut self, platform: &Platform, kind: &EventKind) {
        let backend = self.backends.get(platform);
        match kind {
            EventKind::Routed { backend, .. } => {
                self.backends.insert(platform.clone(), backend.clone());
            }
            EventKind::Retried { .. } => self.counts.retried(backend),
            EventKind::Pulled { bytes: Some(bytes), .. } => self.counts.pulled(*bytes),
            EventKind::StepFinished { cached, work, .. } => {
                let is_shared = work.as_ref().is_some_and(|work| work.shared);
                self.counts.step_finished(*cached || is_shared);
            }
            EventKind::ImageBuilt { .. } => self.counts.platform_ended(backend, platform, None),
            EventKind::PlatformFailed { error } => {
                self.counts.platform_ended(backend, platform, Some(error));
            }
            _ => {}
        }
    }

    fn of_build(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Retried { .. } => self.counts.transfer_retried(),
            EventKind::PushStarted { registry } => {
                // Registries that are filled together are told of by one number.
                if self.filling.is_empty() {
                    self.sent = 0;
                }
                self.filling.insert(registry.clone());
            }
            EventKind::PushProgressed { sent, .. } if !self.filling.is_empty() => {
                // It falls when something is sent again, which is not more for it.
                self.counts.pushed(sent.saturating_sub(self.sent));
                self.sent = self.sent.max(*sent);
            }
            EventKind::PushFinished { registry } => {
                self.filling.remove(registry);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "attempt_tests.rs"]
mod tests;

//! How long the parts of a build may take, and the watch over it.

use std::{collections::BTreeMap, time::Duration};

use futures::{Stream, StreamExt as _};
use polyarch_actors::{BuildEvent, EventKind, Platform, TimedPart};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

/// How long the parts of a build may take. What is absent may take as long as it takes.
///
/// A build that takes longer is stopped as one that is cancelled, and ends with
/// [`Error::TimedOut`](crate::Error::TimedOut) when nothing of it is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeLimits {
    /// Until a backend takes the first of its platforms.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub queue: Option<Duration>,
    /// Each step of each platform.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub step: Option<Duration>,
    /// Writing to registries.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub push: Option<Duration>,
    /// All of it, from when it is begun.
    #[serde(with = "millis", skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
}

impl TimeLimits {
    /// The limit of a part.
    pub fn of(&self, part: TimedPart) -> Option<Duration> {
        match part {
            TimedPart::Queue => self.queue,
            TimedPart::Step => self.step,
            TimedPart::Push => self.push,
            TimedPart::Total => self.total,
            TimedPart::Deadline => None,
        }
    }
}

/// Follows the events of a build that has waited for `waited` already, and says which part takes too long. It says
/// nothing when the build ends in time.
pub(crate) async fn watch(
    limits: TimeLimits,
    waited: Duration,
    mut events: impl Stream<Item = impl AsRef<BuildEvent>> + Unpin,
) -> TimedPart {
    let mut clock = Clock::new(limits, waited, Instant::now());
    loop {
        let due = clock.due();
        let late = async {
            match due {
                Some((when, part)) => {
                    sleep_until(when).await;
                    part
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What has ended in time has, even if nobody looked until now.
            biased;
            event = events.next() => match event {
                Some(event) => clock.see(event.as_ref(), Instant::now()),
                None => return std::future::pending().await,
            },
            part = late => return part,
        }
    }
}

/// What goes on in a build, and since when.
#[derive(Debug)]
struct Clock {
    limits: TimeLimits,
    begun: Instant,
    /// How long it had waited by then.
    waited: Duration,
    waits: bool,
    steps: BTreeMap<(Option<Platform>, u32), Instant>,
    /// Since when something goes to registries, and to how many of them.
    pushes: Option<(Instant, usize)>,
}

impl Clock {
    fn new(limits: TimeLimits, waited: Duration, begun: Instant) -> Self {
        Self { limits, begun, waited, waits: true, steps: BTreeMap::new(), pushes: None }
    }

    fn see(&mut self, event: &BuildEvent, now: Instant) {
        let of = |step: u32| (event.platform.clone(), step);
        match &event.kind {
            EventKind::Assigned { .. } => {
                self.waits = false;
                // Steps of an attempt that was given up do not go on.
                self.forget(event.platform.as_ref());
            }
            EventKind::StepStarted { step, .. } => {
                self.steps.insert(of(*step), now);
            }
            EventKind::StepFinished { step, .. } | EventKind::StepFailed { step, .. } => {
                self.steps.remove(&of(*step));
            }
            EventKind::Retried { .. } | EventKind::ImageBuilt { .. } | EventKind::PlatformFailed { .. } => {
                self.forget(event.platform.as_ref());
            }
            EventKind::PushStarted { .. } => {
                let (since, running) = self.pushes.unwrap_or((now, 0));
                self.pushes = Some((since, running + 1));
            }
            EventKind::PushFinished { .. } => {
                self.pushes = self.pushes.map(|(since, running)| (since, running.saturating_sub(1)));
            }
            // The tags are the last of it.
            EventKind::Pushed { .. } if self.pushes.is_some_and(|(_, running)| running == 0) => {
                self.pushes = None;
            }
            _ => {}
        }
    }

    fn forget(&mut self, platform: Option<&Platform>) {
        self.steps.retain(|(of, _), _| of.as_ref() != platform);
    }

    /// What takes too long first, and when.
    fn due(&self) -> Option<(Instant, TimedPart)> {
        let limits = &self.limits;
        let begun = |waited: Duration, limit: Duration| self.begun + limit.saturating_sub(waited);
        let queue = limits.queue.filter(|_| self.waits).map(|limit| begun(self.waited, limit));
        let total = limits.total.map(|limit| begun(Duration::ZERO, limit));
        let step = limits.step.and_then(|limit| self.steps.values().min().map(|since| *since + limit));
        let push = limits.push.and_then(|limit| self.pushes.map(|(since, _)| since + limit));
        let parts = [
            (queue, TimedPart::Queue),
            (total, TimedPart::Total),
            (step, TimedPart::Step),
            (push, TimedPart::Push),
        ];
        parts.into_iter().filter_map(|(when, part)| Some((when?, part))).min_by_key(|(when, _)| *when)
    }
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives the field by reference")]
    pub(super) fn serialize<S: Serializer>(
        limit: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, sync::Arc};

    use futures::FutureExt as _;
    use polyarch_actors::{BuildId, EventSink};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn step_started(step: u32) -> EventKind {
        EventKind::StepStarted { step, instruction: "RUN make".into(), stage: None }
    }

    /// Lets so much time pass and says what took too long in it.
    async fn after(
        watched: &mut (impl Future<Output = TimedPart> + Unpin),
        seconds: u64,
    ) -> Option<TimedPart> {
        // The watch must see what happened before the time that follows.
        if let Some(part) = watched.now_or_never() {
            return Some(part);
        }
        tokio::time::timeout(SECOND * u32::try_from(seconds).expect("few"), watched).await.ok()
    }

    fn sink() -> (EventSink, impl Stream<Item = Arc<BuildEvent>> + Unpin) {
        let sink = EventSink::new(BuildId::generate());
        let events = sink.subscribe();
        (sink, events)
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_counts_from_before_the_build_was_begun_and_until_a_backend_takes_it() {
        for (waited, seconds, expected) in
            [(0, 9, None), (0, 11, Some(TimedPart::Queue)), (8, 3, Some(TimedPart::Queue))]
        {
            let (_sink, events) = sink();
            let limits = TimeLimits { queue: Some(10 * SECOND), ..TimeLimits::default() };
            let mut watched = Box::pin(watch(limits, waited * SECOND, events));
            assert_eq!(after(&mut watched, seconds).await, expected);
        }
        let (sink, events) = sink();
        sink.emit(EventKind::Assigned { attempt: 1 });
        let limits = TimeLimits { queue: Some(10 * SECOND), ..TimeLimits::default() };
        assert_eq!(after(&mut Box::pin(watch(limits, Duration::ZERO, events)), 100).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_step_has_its_own_time_and_an_attempt_that_was_given_up_has_none() {
        let (sink, events) = sink();
        let limits = TimeLimits { step: Some(10 * SECOND), ..TimeLimits::default() };
        let mut watched = Box::pin(watch(limits, Duration::ZERO, events));
        sink.emit(step_started(1));
        assert_eq!(after(&mut watched, 9).await, None);
        sink.emit(EventKind::StepFinished { step: 1, cached: false, work: None });
        sink.emit(step_started(2));
        assert_eq!(after(&mut watched, 9).await, None);
        sink.emit(EventKind::Assigned { attempt: 2 });
        assert_eq!(after(&mut watched, 100).await, None);
        sink.emit(step_started(1));
        assert_eq!(after(&mut watched, 11).await, Some(TimedPart::Step));
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_takes_as_long_as_all_its_registries_do() {
        let (sink, events) = sink();
        let limits = TimeLimits { push: Some(10 * SECOND), ..TimeLimits::default() };
        let mut watched = Box::pin(watch(limits, Duration::ZERO, events));
        let registry = |name: &str| name.to_owned();
        sink.emit(EventKind::PushStarted { registry: registry("one") });
        assert_eq!(after(&mut watched, 6).await, None);
        sink.emit(EventKind::PushStarted { registry: registry("two") });
        sink.emit(EventKind::PushFinished { registry: registry("two") });
        assert_eq!(after(&mut watched, 6).await, Some(TimedPart::Push));
    }

    #[tokio::test(start_paused = true)]
    async fn a_build_that_ends_in_time_is_never_late() {
        let (sink, events) = sink();
        let limits = TimeLimits { total: Some(10 * SECOND), ..TimeLimits::default() };
        let mut watched = Box::pin(watch(limits, Duration::ZERO, events));
        assert_eq!(after(&mut watched, 9).await, None);
        sink.emit(EventKind::Finished { error: None });
        assert_eq!(after(&mut watched, 100).await, None);
    }
}

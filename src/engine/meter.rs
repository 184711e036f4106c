//! Where the time of a step goes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use polyarch_actors::{Digest, StepWork};

/// What is noted of a step while it is carried out.
#[derive(Debug, Default)]
pub(super) struct Meter {
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    keys: Vec<Digest>,
    stages: Vec<u32>,
    /// Whether somebody else was found at the same work.
    joined: bool,
    emulated: bool,
    waited: Duration,
    pulled: Duration,
    prepared: Duration,
    ran: Duration,
    wrote: Duration,
}

/// A part of a step. The parts follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Waiting,
    Pulling,
    Preparing,
    Running,
    Writing,
}

impl Meter {
    /// Does something, and notes how long it takes.
    pub(super) async fn time<T>(&self, part: Part, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        self.add(part, begun.elapsed());
        done
    }

    pub(super) fn add(&self, part: Part, time: Duration) {
        let mut noted = self.noted();
        let sum = match part {
            Part::Waiting => &mut noted.waited,
            Part::Pulling => &mut noted.pulled,
            Part::Preparing => &mut noted.prepared,
            Part::Running => &mut noted.ran,
            Part::Writing => &mut noted.wrote,
        };
        *sum += time;
    }

    /// Notes what the work is known by.
    pub(super) fn key(&self, key: &Digest) {
        let mut noted = self.noted();
        if !noted.keys.contains(key) {
            noted.keys.push(key.clone());
        }
    }

    /// Notes a stage that the step needs.
    pub(super) fn stage(&self, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let mut noted = self.noted();
        if !noted.stages.contains(&number) {
            noted.stages.push(number);
        }
    }

    /// Notes that somebody else is, or was just now, at the same work.
    pub(super) fn join(&self) {
        self.noted().joined = true;
    }

    /// Notes that a command runs for a CPU that this machine has not.
    pub(super) fn emulate(&self) {
        self.noted().emulated = true;
    }

    /// What was noted of a step; `taken` tells whether its result is somebody else's.
    pub(super) fn work(&self, taken: bool) -> StepWork {
        let noted = self.noted();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        StepWork {
            keys: noted.keys.clone(),
            shared: noted.joined && taken,
            emulated: noted.emulated,
            stages: noted.stages.clone(),
            waited_ms: ms(noted.waited),
            pulled_ms: ms(noted.pulled),
            prepared_ms: ms(noted.prepared),
            ran_ms: ms(noted.ran),
            wrote_ms: ms(noted.wrote),
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Tells those that wait where they are.
//!
//! All places are found at once, and no more often than the pauses here say, however much comes and goes: what waits
//! costs nothing in between.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::{BuildSupervisor, turns::Ticket};
use crate::{EventKind, PlatformState, queue::Place};

/// The least time between two looks at the places of all.
const PAUSE: Duration = Duration::from_secs(1);
/// The same while somebody has not been told any yet.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// The least time between two events of one request that differ only in what it waits for.
const REASON_PAUSE: Duration = Duration::from_secs(10);

/// When places are told.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    /// Whether something waits that was not told its place.
    pub(super) has_new: bool,
    last: Option<Instant>,
    next: Option<(Instant, SpawnHandle)>,
}

/// What a request was told of its place.
#[derive(Debug)]
pub(super) struct Told {
    place: Place,
    at: Instant,
}

impl Told {
    /// When this place may be told; never where it is no news.
    fn due(&self, place: &Place) -> Option<Instant> {
        let moved = self.place.ahead.abs_diff(place.ahead);
        // A tenth is news: one step is, for what is among the first, and not far behind.
        if moved > 0 && moved.saturating_mul(10) >= self.place.ahead {
            Some(self.at + PAUSE)
        } else if self.place.reason != place.reason {
            Some(self.at + REASON_PAUSE)
        } else {
            None
        }
    }
}

impl BuildSupervisor {
    /// Makes sure that places are looked at soon.
    pub(super) fn places_changed(&mut self, cx: &mut Context<Self>) {
        if self.queue.waiting() > 0 {
            let pause = if self.announcer.has_new { SHORT_PAUSE } else { PAUSE };
            let now = Instant::now();
            self.look_at_places(self.announcer.last.map_or(now, |last| last + pause), cx);
        }
    }

    fn look_at_places(&mut self, due: Instant, cx: &mut Context<Self>) {
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            self.tell_places(cx);
            return;
        }
        if let Some((next, timer)) = self.announcer.next.take() {
            if next <= due {
                self.announcer.next = Some((next, timer));
                return;
            }
            cx.cancel_future(timer);
        }
        let timer = cx.run_later(wait, |supervisor, cx| {
            supervisor.announcer.next = None;
            supervisor.tell_places(cx);
        });
        self.announcer.next = Some((due, timer));
    }

    fn tell_places(&mut self, cx: &mut Context<Self>) {
        if let Some((_, timer)) = self.announcer.next.take() {
            cx.cancel_future(timer);
        }
        let now = Instant::now();
        self.announcer.last = Some(now);
        self.announcer.has_new = false;
        let places = self.queue.places(self.clock.now());
        let later = places.into_iter().filter_map(|(ticket, place)| self.tell(ticket, place, now)).min();
        if let Some(later) = later {
            self.look_at_places(later.max(now + PAUSE), cx);
        }
    }

    /// Tells one request its place, or returns when it may be told.
    fn tell(&mut self, ticket: Ticket, place: Place, now: Instant) -> Option<Instant> {
        let job = self.jobs.get_mut(&ticket)?;
        self.board.set(&job.request.build, job.place, PlatformState::Queued(place.clone()));
        let due = job.told.as_ref().map_or(Some(now), |told| told.due(&place))?;
        if due > now {
            return Some(due);
        }
        let Place { ahead, reason } = place.clone();
        job.events.emit(EventKind::Queued { ahead, reason });
        job.told = Some(Told { place, at: now });
        None
    }
}

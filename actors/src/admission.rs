//! What waits and what may start. Pure: it knows slots and order, not actors or clocks.
//!
//! Every backend has a lane with as many slots as the backend runs builds at once. The request that came
//! first starts first among those whose lane has a free slot.

use std::collections::{BTreeMap, VecDeque};

use crate::BackendId;

/// Names one request in the queue; later requests have higher numbers.
pub(crate) type Ticket = u64;

/// The queue of every backend.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    lanes: BTreeMap<BackendId, Lane>,
    limit: usize,
    running: usize,
}

#[derive(Debug, Default)]
struct Lane {
    slots: usize,
    running: usize,
    open: bool,
    /// In the order of the tickets' first arrival.
    waiting: VecDeque<Ticket>,
}

impl Admission {
    /// At most `limit` requests run at once over all backends.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Adds a backend that runs `slots` requests at once.
    pub(crate) fn add_lane(&mut self, backend: BackendId, slots: usize) {
        self.lanes.insert(backend, Lane { slots, open: true, ..Lane::default() });
    }

    /// Holds back everything for a backend (`open == false`), or lets it go on.
    pub(crate) fn set_open(&mut self, backend: &BackendId, open: bool) {
        if let Some(lane) = self.lanes.get_mut(backend) {
            lane.open = open;
        }
    }

    /// Queues a request. One that comes again keeps the place its ticket gives it.
    pub(crate) fn push(&mut self, backend: &BackendId, ticket: Ticket) {
        let lane = self.lanes.entry(backend.clone()).or_default();
        let place = lane.waiting.partition_point(|other| *other < ticket);
        lane.waiting.insert(place, ticket);
    }

    /// Takes the request that may start now, and a slot for it.
    pub(crate) fn pop(&mut self) -> Option<(BackendId, Ticket)> {
        if self.running >= self.limit {
            return None;
        }
        let free = self.lanes.iter_mut().filter(|(_, lane)| lane.open && lane.running < lane.slots);
        let (backend, lane) = free
            .filter(|(_, lane)| !lane.waiting.is_empty())
            .min_by_key(|(_, lane)| lane.waiting.front().copied())?;
        let ticket = lane.waiting.pop_front()?;
        lane.running += 1;
        self.running += 1;
        Some((backend.clone(), ticket))
    }

    /// Gives back the slot of a request that [`Self::pop`] returned.
    pub(crate) fn release(&mut self, backend: &BackendId) {
        if let Some(lane) = self.lanes.get_mut(backend) {
            debug_assert!(lane.running > 0, "a slot was given back twice");
            lane.running = lane.running.saturating_sub(1);
            self.running = self.running.saturating_sub(1);
        }
    }

    /// Takes a waiting request out of the queue. False if it does not wait.
    pub(crate) fn remove(&mut self, backend: &BackendId, ticket: Ticket) -> bool {
        let Some(lane) = self.lanes.get_mut(backend) else { return false };
        let found = lane.waiting.binary_search(&ticket);
        found.is_ok_and(|place| lane.waiting.remove(place).is_some())
    }

    /// How many requests of the same backend start before a waiting one.
    pub(crate) fn ahead(&self, backend: &BackendId, ticket: Ticket) -> Option<usize> {
        self.lanes.get(backend)?.waiting.binary_search(&ticket).ok()
    }

    /// Takes everything out of a backend's queue.
    pub(crate) fn drain(&mut self, backend: &BackendId) -> Vec<Ticket> {
        self.lanes.get_mut(backend).map(|lane| lane.waiting.drain(..).collect()).unwrap_or_default()
    }

    /// How many requests wait in all.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn id(number: usize) -> BackendId {
        BackendId::new(["a", "b", "c"][number % 3])
    }

    #[test]
    fn a_full_backend_holds_up_nobody_else() {
        let mut admission = Admission::new(10);
        admission.add_lane(id(0), 1);
        admission.add_lane(id(1), 1);
        for (backend, ticket) in [(0, 1), (0, 2), (1, 3)] {
            admission.push(&id(backend), ticket);
        }
        assert_eq!(admission.pop(), Some((id(0), 1)));
        assert_eq!(admission.pop(), Some((id(1), 3)));
        assert_eq!(admission.pop(), None);
        assert_eq!(admission.ahead(&id(0), 2), Some(0));
        admission.release(&id(0));
        assert_eq!(admission.pop(), Some((id(0), 2)));
    }

    #[test]
    fn a_closed_lane_waits_and_a_returning_request_keeps_its_place() {
        let mut admission = Admission::new(10);
        admission.add_lane(id(0), 1);
        admission.push(&id(0), 2);
        admission.push(&id(0), 1);
        admission.set_open(&id(0), false);
        assert_eq!(admission.pop(), None);
        admission.set_open(&id(0), true);
        assert_eq!(admission.pop(), Some((id(0), 1)));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(usize),
        Pop,
        Release(usize),
        Remove(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..3_usize).prop_map(Op::Push),
            Just(Op::Pop),
            (0..8_usize).prop_map(Op::Release),
            (0..30_usize).prop_map(Op::Remove),
        ]
    }

    proptest! {
        #[test]
        fn no_request_is_lost_or_started_twice_and_no_slot_is_exceeded(
            slots in prop::collection::vec(1..4_usize, 3), limit in 1..6_usize, ops in prop::collection::vec(op(), 0..200),
        ) {
            let mut admission = Admission::new(limit);
            for (number, slots) in slots.iter().enumerate() {
                admission.add_lane(id(number), *slots);
            }
            let (mut waiting, mut running) = (BTreeSet::new(), Vec::new());
            for (ticket, op) in (0..).zip(ops) {
                match op {
                    Op::Push(backend) => {
                        admission.push(&id(backend), ticket);
                        waiting.insert((ticket, id(backend)));
                    }
                    Op::Pop => {
                        let popped = admission.pop();
                        let may = |backend: &BackendId| {
                            let lane = ["a", "b", "c"].iter().position(|name| *name == backend.as_str()).expect("lane");
                            running.len() < limit && running.iter().filter(|other| *other == backend).count() < slots[lane]
                        };
                        let expected = waiting.iter().find(|(_, backend)| may(backend)).cloned();
                        prop_assert_eq!(popped.clone().map(|(backend, ticket)| (ticket, backend)), expected.clone());
                        if let Some(started) = expected {
                            waiting.remove(&started);
                            running.push(started.1);
                        }
                    }
                    Op::Release(which) => if which < running.len() {
                        admission.release(&running.swap_remove(which));
                    },
                    Op::Remove(which) => if let Some(entry) = waiting.iter().nth(which).cloned() {
                        prop_assert!(admission.remove(&entry.1, entry.0));
                        prop_assert!(!admission.remove(&entry.1, entry.0));
                        waiting.remove(&entry);
                    },
                }
                prop_assert_eq!(admission.waiting(), waiting.len());
            }
        }
    }
}

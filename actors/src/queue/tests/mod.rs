//! What the queue promises, under whatever comes.

mod model;
mod places;
mod shares;
mod waits;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use super::{Claims, Entry, FairQueue, Fairness, Limits, Priority, Resource, Tenant};
use crate::Timestamp;

fn tenant(name: &str) -> Tenant {
    name.parse().expect("a tenant")
}

fn priority(number: i64) -> Priority {
    number.try_into().expect("a priority")
}

fn slot() -> Claims {
    Claims::default().with(Resource::Slots, 1)
}

fn slots(count: u64) -> Limits {
    Limits::default().with(Resource::Slots, count)
}

fn entry(name: &str, arrived: u64) -> Entry {
    Entry::new(tenant(name), Timestamp(arrived), slot())
}

/// Numbers that look random and are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A machine that works a queue off: what started ends when its time is over.
struct Machine {
    queue: FairQueue<u64>,
    now: u64,
    next: u64,
    /// Whose each entry is and how long it runs.
    known: BTreeMap<u64, (String, u64)>,
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    /// When each began.
    begun: BTreeMap<u64, u64>,
    /// For how long slots were used by each tenant.
    used: BTreeMap<String, u64>,
}

impl Machine {
    fn new(fairness: Fairness, limits: Limits) -> Self {
        Self {
            queue: FairQueue::new(fairness, limits),
            now: 0,
            next: 0,
            known: BTreeMap::new(),
            ends: BinaryHeap::new(),
            begun: BTreeMap::new(),
            used: BTreeMap::new(),
        }
    }

    /// Submits what runs for so long.
    fn submit(&mut self, entry: Entry, takes: u64) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.known.insert(ticket, (entry.tenant.to_string(), takes));
        self.queue.push(ticket, entry, Timestamp(self.now)).expect("taken");
        ticket
    }

    fn slot_of(&mut self, name: &str, takes: u64) -> u64 {
        self.submit(entry(name, self.now), takes)
    }

    /// Starts what may start.
    fn start(&mut self) {
        while let Some(ticket) = self.queue.pop(Timestamp(self.now)) {
            let takes = self.known[&ticket].1;
            assert!(self.begun.insert(ticket, self.now).is_none(), "{ticket} began twice");
            self.ends.push(Reverse((self.now + takes, ticket)));
        }
    }

    /// Starts what may start and goes on until the next one has ended, which is returned.
    fn step(&mut self) -> Option<u64> {
        self.start();
        let Reverse((end, ticket)) = self.ends.pop()?;
        self.now = end;
        assert!(self.queue.release(&ticket, Timestamp(end)));
        *self.used.entry(self.known[&ticket].0.clone()).or_default() += end - self.begun[&ticket];
        Some(ticket)
    }

    fn waiting_of(&self, name: &str) -> usize {
        self.queue.counts().get(&tenant(name)).map_or(0, |counts| counts.waiting)
    }

    fn running_of(&self, name: &str) -> usize {
        self.queue.counts().get(&tenant(name)).map_or(0, |counts| counts.running)
    }

    fn used_by(&self, name: &str) -> u64 {
        self.used.get(name).copied().unwrap_or(0)
    }
}

fn patient(patience: u64) -> Fairness {
    Fairness { patience: Duration::from_millis(patience), ..Fairness::default() }
}

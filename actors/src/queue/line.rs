//! What waits of one tenant, in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{Claims, Entry};
use crate::Timestamp;

/// The place of an entry among those of its tenant; the lowest goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank<T> {
    /// When it would have arrived if its priority were none. All entries get older at the same rate, so this says
    /// once and for all who goes first, and no stream of new entries keeps an old one back for ever.
    virtual_arrival: i128,
    arrived: Timestamp,
    pub(super) ticket: T,
}

impl<T> Rank<T> {
    /// `step` is how much earlier one point of priority makes an entry.
    pub(super) fn new(ticket: T, entry: &Entry, step: Duration) -> Self {
        let step = i128::try_from(step.as_millis()).unwrap_or(i128::from(u64::MAX));
        let earlier = i128::from(entry.priority.get()).saturating_mul(step);
        Self { virtual_arrival: i128::from(entry.arrived.0) - earlier, arrived: entry.arrived, ticket }
    }
}

/// Entries of one tenant that claim the same: if the first cannot start, none can.
#[derive(Debug)]
pub(super) struct Group<T> {
    pub(super) waiting: BTreeSet<Rank<T>>,
    /// Since when entries that come after the first one start before it.
    pub(super) passed_since: Option<Timestamp>,
}

impl<T> Group<T> {
    /// Whether the first was passed over for as long as anybody has to bear it.
    pub(super) fn is_overdue(&self, now: Timestamp, patience: Duration) -> bool {
        let waited = |since: Timestamp| Duration::from_millis(now.0.saturating_sub(since.0));
        self.passed_since.is_some_and(|since| waited(since) >= patience)
    }
}

/// The entries of one tenant, never none.
#[derive(Debug)]
pub(super) struct Line<T> {
    pub(super) groups: BTreeMap<Arc<Claims>, Group<T>>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { groups: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Line<T> {
    pub(super) fn insert(&mut self, claims: &Arc<Claims>, rank: Rank<T>) {
        let empty = || Group { waiting: BTreeSet::new(), passed_since: None };
        self.groups.entry(Arc::clone(claims)).or_insert_with(empty).waiting.insert(rank);
    }

    /// Takes one out. What is first after the first is gone has been passed over by nobody yet.
    pub(super) fn remove(&mut self, claims: &Claims, rank: &Rank<T>) {
        let Some(group) = self.groups.get_mut(claims) else { return };
        if group.waiting.first() == Some(rank) {
            group.passed_since = None;
        }
        group.waiting.remove(rank);
        if group.waiting.is_empty() {
            self.groups.remove(claims);
        }
    }

    /// The first of each group.
    pub(super) fn heads(&self) -> impl Iterator<Item = (&Rank<T>, &Arc<Claims>, &Group<T>)> {
        self.groups.iter().filter_map(|(claims, group)| Some((group.waiting.first()?, claims, group)))
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<&Rank<T>> {
        self.heads().map(|(rank, ..)| rank).min()
    }

    pub(super) fn len(&self) -> usize {
        self.groups.values().map(|group| group.waiting.len()).sum()
    }
}

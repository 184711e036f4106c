//! Where in the queue an entry is, and what it waits for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Claims, FairQueue, Resource, Tenant,
    accounts::{Level, Pace},
    line::Rank,
};
use crate::Timestamp;

/// The place of an entry that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// How many others will have what it waits for before it does, if nothing new comes.
    pub ahead: usize,
    /// What it waits for.
    pub reason: Reason,
}

/// What an entry waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// There is enough of everything, and others are first.
    #[default]
    Turn,
    /// There is not enough left of this.
    Full(Resource),
    /// Nothing that claims this begins until it is let go on.
    Held(Resource),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn => f.write_str("others are first"),
            Self::Full(Resource::Key(key)) => write!(f, "another holds the key {key:?}"),
            Self::Full(Resource::Disk) => f.write_str("not enough disk is free"),
            Self::Full(Resource::Memory) => f.write_str("not enough memory is free"),
            Self::Full(slots) => write!(f, "all {slots} are taken"),
            Self::Held(Resource::Backend(backend)) => write!(f, "backend {backend} is being started again"),
            Self::Held(Resource::Tenant(tenant)) => write!(f, "tenant {tenant} is held back"),
            Self::Held(Resource::Platform(platform)) => write!(f, "{platform} is held back"),
            Self::Held(Resource::Key(key)) => write!(f, "the key {key:?} is held back"),
            Self::Held(Resource::Slots) => f.write_str("everything is held back"),
            Self::Held(Resource::Memory) => f.write_str("what takes memory is held back"),
            Self::Held(Resource::Disk) => f.write_str("what takes disk is held back"),
        }
    }
}

/// One entry in the order in which entries would start.
type InOrder<'q, T> = (&'q T, &'q Arc<Claims>);

impl<T: Ord + Clone> FairQueue<T> {
    /// The places of all entries that wait, in the order in which they would start if there were enough of everything.
    pub fn places(&self, now: Timestamp) -> Vec<(T, Place)> {
        let now = self.now.max(now);
        let mut reasons: BTreeMap<&Claims, Vec<Reason>> = BTreeMap::new();
        let mut before: BTreeMap<&Resource, usize> = BTreeMap::new();
        let mut places = Vec::with_capacity(self.waiting.len());
        let mut all_before = 0;
        for (ticket, claims) in self.in_order(now) {
            let reasons = reasons.entry(claims).or_insert_with(|| self.reasons(claims));
            let ahead = |reason: &Reason| match reason {
                Reason::Turn => all_before,
                Reason::Full(resource) | Reason::Held(resource) => before.get(resource).copied().unwrap_or(0),
            };
            // The first of equals, and that is the narrowest.
            let told = reasons
                .iter()
                .map(|reason| (ahead(reason), reason))
                .reduce(|one, other| if other.0 > one.0 { other } else { one });
            let place = told.map(|(ahead, reason)| Place { ahead, reason: reason.clone() });
            places.push((ticket.clone(), place.unwrap_or_default()));
            if let Some(closed) = self.pool.closed(claims) {
                // It keeps nobody waiting but those that wait for the same.
                *before.entry(closed).or_default() += 1;
            } else {
                all_before += 1;
                claims.iter().for_each(|(resource, _)| *before.entry(resource).or_default() += 1);
            }
        }
        places
    }

    /// What an entry with these claims waits for; never nothing.
    fn reasons(&self, claims: &Claims) -> Vec<Reason> {
        if let Some(closed) = self.pool.closed(claims) {
            return vec![Reason::Held(closed.clone())];
        }
        let full: Vec<Reason> = self.pool.short(claims).cloned().map(Reason::Full).collect();
        if full.is_empty() { vec![Reason::Turn] } else { full }
    }

    /// All that waits in the order in which it would start if there were enough of everything.
    pub(super) fn in_order(&self, now: Timestamp) -> Vec<InOrder<'_, T>> {
        let mut order: Vec<InOrder<'_, T>> = Vec::with_capacity(self.waiting.len());
        let overdue = self.overdue(now);
        order.extend(overdue.iter().map(|(rank, claims, _)| (&rank.ticket, *claims)));
        let first: BTreeSet<&T> = overdue.iter().map(|(rank, ..)| &rank.ticket).collect();
        let mut turns: BTreeMap<&Tenant, Turns<'_, T>> = BTreeMap::new();
        let mut heap = BinaryHeap::with_capacity(self.lines.len());
        for (tenant, line) in &self.lines {
            let all = line
                .groups
                .iter()
                .flat_map(|(claims, group)| group.waiting.iter().map(move |rank| (rank, claims)));
            let mut rest: Vec<_> = all.filter(|(rank, _)| !first.contains(&rank.ticket)).collect();
            // The last is the next to go.
            rest.sort_unstable_by(|one, other| other.cmp(one));
            let begun = u64::try_from(line.len() - rest.len()).unwrap_or(u64::MAX);
            let its = Turns { pace: self.accounts.pace(tenant, now), begun, rest };
            heap.extend(its.next().map(|next| Reverse((next, tenant))));
            turns.insert(tenant, its);
        }
        while let Some(Reverse((_, tenant))) = heap.pop() {
            let Some(its) = turns.get_mut(tenant) else { continue };
            order.extend(its.rest.pop().map(|(rank, claims)| (&rank.ticket, claims)));
            its.begun += 1;
            heap.extend(its.next().map(|next| Reverse((next, tenant))));
        }
        order
    }
}

/// What is left of one tenant's entries while the order is made.
struct Turns<'q, T> {
    pace: Pace,
    begun: u64,
    rest: Vec<(&'q Rank<T>, &'q Arc<Claims>)>,
}

impl<'q, T> Turns<'q, T> {
    /// When it is the turn of the next.
    fn next(&self) -> Option<(Level, &'q Rank<T>)> {
        self.rest.last().map(|(rank, _)| (self.pace.level(self.begun), *rank))
    }
}

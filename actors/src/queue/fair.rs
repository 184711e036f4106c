//! The queue: what comes in, what goes, what ends.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use super::{
    Claims, Counts, Entry, Fairness, Limits, Refusal, Resource, Tenant,
    accounts::Accounts,
    line::{Line, Rank},
    pool::Pool,
};
use crate::Timestamp;

/// What waits and what runs. `T` tells entries from each other; of entries that are equal in all else, the lower goes
/// first.
///
/// Time only goes forward here: an earlier time than the last one given counts as the last one.
#[derive(Debug)]
pub struct FairQueue<T> {
    pub(super) fairness: Fairness,
    pub(super) pool: Pool,
    pub(super) accounts: Accounts,
    /// Only tenants with something in it.
    pub(super) lines: BTreeMap<Tenant, Line<T>>,
    pub(super) waiting: BTreeMap<T, Waiting<T>>,
    running: BTreeMap<T, Running>,
    pub(super) now: Timestamp,
}

#[derive(Debug)]
pub(super) struct Waiting<T> {
    tenant: Tenant,
    pub(super) claims: Arc<Claims>,
    rank: Rank<T>,
}

#[derive(Debug)]
struct Running {
    tenant: Tenant,
    claims: Arc<Claims>,
    begun: Timestamp,
}

impl<T: Ord + Clone> FairQueue<T> {
    /// An empty queue.
    pub fn new(fairness: Fairness, limits: Limits) -> Self {
        Self {
            fairness,
            pool: Pool::new(limits),
            accounts: Accounts::new(fairness.credit, fairness.estimate),
            lines: BTreeMap::new(),
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            now: Timestamp(0),
        }
    }

    /// Takes an entry in.
    ///
    /// # Errors
    /// [`Refusal`] when it could never start, or is here already.
    pub fn push(&mut self, ticket: T, entry: Entry, now: Timestamp) -> Result<(), Refusal> {
        self.advance(now);
        if self.waiting.contains_key(&ticket) || self.running.contains_key(&ticket) {
            return Err(Refusal::Known);
        }
        for (resource, asked) in entry.claims.iter() {
            if let Some(limit) = self.pool.most(resource).filter(|limit| asked > *limit) {
                return Err(Refusal::TooLarge { resource: resource.clone(), asked, limit });
            }
        }
        let rank = Rank::new(ticket.clone(), &entry, self.fairness.step);
        let Entry { tenant, claims, .. } = entry;
        let claims = Arc::new(claims);
        self.accounts.waits(&tenant, self.now);
        self.lines.entry(tenant.clone()).or_default().insert(&claims, rank.clone());
        self.waiting.insert(ticket, Waiting { tenant, claims, rank });
        Ok(())
    }

    /// Ends an entry that runs: what [`Self::pop`] took for it is given back. False, and nothing changes, for one that
    /// does not run.
    pub fn release(&mut self, ticket: &T, now: Timestamp) -> bool {
        self.advance(now);
        let Some(Running { tenant, claims, begun }) = self.running.remove(ticket) else { return false };
        self.pool.give_back(&claims);
        self.accounts.ends(&tenant, begun, self.now);
        true
    }

    /// Takes an entry out that waits. False, and nothing changes, for one that does not wait.
    pub fn remove(&mut self, ticket: &T) -> bool {
        let Some(Waiting { tenant, .. }) = self.take_out(ticket) else { return false };
        if !self.lines.contains_key(&tenant) {
            self.accounts.waits_no_more(&tenant, self.now);
        }
        true
    }

    /// Takes out all that wait for a resource, in the order of their tickets.
    pub fn drain(&mut self, resource: &Resource) -> Vec<T> {
        let claiming = self.waiting.iter().filter(|(_, waiting)| waiting.claims.of(resource) > 0);
        let tickets: Vec<T> = claiming.map(|(ticket, _)| ticket.clone()).collect();
        for ticket in &tickets {
            self.remove(ticket);
        }
        tickets
    }

    /// Starts nothing that claims this resource (`held`), or lets it go on.
    pub fn hold(&mut self, resource: &Resource, held: bool) {
        self.pool.set_closed(resource, held);
    }

    /// Gives a tenant so many times the share of one whose weight is 1, which is everybody else's. It counts at once, for
    /// what runs too.
    pub fn set_weight(&mut self, tenant: &Tenant, weight: NonZeroU32) {
        self.accounts.set_weight(tenant, weight);
    }

    /// Gives every tenant the same share.
    pub fn clear_weights(&mut self) {
        self.accounts.clear_weights();
    }

    /// The limits as they are.
    pub fn limits(&self) -> &Limits {
        self.pool.limits()
    }

    /// Replaces all limits. What runs goes on, and nothing starts until enough was given back.
    pub fn set_limits(&mut self, limits: Limits) {
        self.pool.set_limits(limits);
    }

    /// Changes the limit of one resource, or takes it away.
    pub fn set_limit(&mut self, resource: Resource, limit: Option<u64>) {
        let mut limits = self.pool.limits().clone();
        limits.set(resource, limit);
        self.pool.set_limits(limits);
    }

    /// How many entries wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many entries run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// What is taken of each resource; nothing is taken of those that are not named.
    pub fn taken(&self) -> impl Iterator<Item = (&Resource, u64)> {
        let taken = self.pool.taken().iter();
        taken.map(|(resource, taken)| (resource, u64::try_from(*taken).unwrap_or(u64::MAX)))
    }

    /// How much of each tenant waits and runs, for those that have anything here.
    pub fn counts(&self) -> BTreeMap<Tenant, Counts> {
        let mut counts: BTreeMap<Tenant, Counts> = BTreeMap::new();
        let none = |tenant: &Tenant| Counts {
            weight: self.accounts.weight(tenant),
            waiting: 0,
            running: 0,
            ran_ms: self.accounts.ran(tenant, self.now),
        };
        for (tenant, line) in &self.lines {
            counts.entry(tenant.clone()).or_insert_with(|| none(tenant)).waiting = line.len();
        }
        for Running { tenant, .. } in self.running.values() {
            counts.entry(tenant.clone()).or_insert_with(|| none(tenant)).running += 1;
        }
        counts
    }

    pub(super) fn start(&mut self, ticket: &T) {
        let Some(Waiting { tenant, claims, .. }) = self.take_out(ticket) else { return };
        self.pool.take(&claims);
        self.accounts.begins(&tenant, self.now);
        if !self.lines.contains_key(&tenant) {
            self.accounts.waits_no_more(&tenant, self.now);
        }
        self.running.insert(ticket.clone(), Running { tenant, claims, begun: self.now });
    }

    fn take_out(&mut self, ticket: &T) -> Option<Waiting<T>> {
        let waiting = self.waiting.remove(ticket)?;
        if let Some(line) = self.lines.get_mut(&waiting.tenant) {
            line.remove(&waiting.claims, &waiting.rank);
            if line.groups.is_empty() {
                self.lines.remove(&waiting.tenant);
            }
        }
        Some(waiting)
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }
}

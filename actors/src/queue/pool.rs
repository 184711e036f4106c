//! What is taken of each resource, and what is closed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claims, Limits, Resource};

/// The resources that entries share.
#[derive(Debug, Default)]
pub(super) struct Pool {
    limits: Limits,
    /// The highest limit there was of what comes and goes by itself; no entry while there was no limit.
    highest: BTreeMap<Resource, Option<u64>>,
    /// Wide enough that no sum is cut off, so what is given back is what was taken.
    taken: BTreeMap<Resource, u128>,
    closed: BTreeSet<Resource>,
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Self {
        let mut pool = Self::default();
        pool.set_limits(limits);
        pool
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        for resource in [Resource::Memory, Resource::Disk] {
            let now = self.limits.of(&resource);
            let highest = self.highest.entry(resource).or_insert(now);
            // Without a limit there was more than any number.
            *highest = highest.zip(now).map(|(highest, now)| highest.max(now));
        }
    }

    /// How much there may ever be of a resource.
    pub(super) fn most(&self, resource: &Resource) -> Option<u64> {
        if resource.varies() {
            self.highest.get(resource).copied().flatten()
        } else {
            self.limits.of(resource)
        }
    }

    pub(super) fn taken(&self) -> &BTreeMap<Resource, u128> {
        &self.taken
    }

    pub(super) fn set_closed(&mut self, resource: &Resource, closed: bool) {
        if closed {
            self.closed.insert(resource.clone());
        } else {
            self.closed.remove(resource);
        }
    }

    /// What of these claims is held back.
    pub(super) fn closed(&self, claims: &Claims) -> Option<&Resource> {
        self.closed.iter().find(|resource| claims.of(resource) > 0)
    }

    /// Of which resources there is not enough left for these claims.
    pub(super) fn short<'c>(&'c self, claims: &'c Claims) -> impl Iterator<Item = &'c Resource> {
        let short = |(resource, amount): &(&Resource, u64)| {
            let taken = self.taken.get(*resource).copied().unwrap_or(0);
            self.limits.of(resource).is_some_and(|limit| taken + u128::from(*amount) > u128::from(limit))
        };
        claims.iter().filter(short).map(|(resource, _)| resource)
    }

    pub(super) fn fits(&self, claims: &Claims) -> bool {
        self.short(claims).next().is_none()
    }

    /// Whether there would be enough of everything if nothing else ran.
    pub(super) fn would_fit(&self, claims: &Claims) -> bool {
        claims.iter().all(|(resource, amount)| self.limits.of(resource).is_none_or(|limit| amount <= limit))
    }

    pub(super) fn take(&mut self, claims: &Claims) {
        for (resource, amount) in claims.iter() {
            *self.taken.entry(resource.clone()).or_default() += u128::from(amount);
        }
    }

    pub(super) fn give_back(&mut self, claims: &Claims) {
        for (resource, amount) in claims.iter() {
            let Some(taken) = self.taken.get_mut(resource) else { continue };
            *taken = taken.saturating_sub(amount.into());
            if *taken == 0 {
                self.taken.remove(resource);
            }
        }
    }
}

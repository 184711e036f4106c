//! How much each tenant has had: what decides whose turn it is.
//!
//! A tenant's level is the time for which its entries ran, divided by its weight; the tenant with the lowest level
//! goes first. What runs counts as what it has taken so far, and in comparisons as no less than what the tenant's
//! entries took lately: so whoever has many running waits for whoever has few, before any of them has ended.
//!
//! Nobody saves up: a tenant that has nothing waiting lets its turn go by, and is lifted to the level of the others
//! when it comes again. Nobody gets rid of what it had: no level is ever lowered, and it is forgotten only when
//! the others have come as far on the average. That is where newcomers begin, so that no stream of newcomers keeps back
//! those that have had something.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use super::Tenant;
use crate::Timestamp;

/// Milliseconds of one slot divided by a weight, in parts of [`PARTS`].
pub(super) type Level = u128;

/// Parts of a millisecond, so that dividing by a weight loses nothing that counts.
const PARTS: u128 = 1 << 20;

/// The accounts of all tenants that have something here, or have had more than others.
#[derive(Debug)]
pub(super) struct Accounts {
    accounts: BTreeMap<Tenant, Account>,
    weights: BTreeMap<Tenant, NonZeroU32>,
    /// How far behind the others a tenant may fall that cannot start anything although it is its turn.
    credit: Level,
    /// What entries are taken to need before any has ended, in milliseconds.
    guess: u64,
    /// What those of all took lately, in milliseconds.
    took: Option<u64>,
    /// How far a tenant would have come that always got its share.
    average: Level,
    /// Until when that was counted.
    counted: Timestamp,
}

#[derive(Clone, Debug)]
struct Account {
    charged: Level,
    /// What this tenant's entries took lately, in milliseconds; nothing before one has ended.
    took: Option<u64>,
    /// What they took altogether.
    ran: u64,
    waits: bool,
    /// When what runs began, and how many then.
    begun: BTreeMap<Timestamp, u64>,
}

impl Accounts {
    pub(super) fn new(credit: Duration, first_estimate: Duration) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            accounts: BTreeMap::new(),
            weights: BTreeMap::new(),
            credit: u128::from(millis(credit)) * PARTS,
            guess: millis(first_estimate),
            took: None,
            average: 0,
            counted: Timestamp(0),
        }
    }

    pub(super) fn set_weight(&mut self, tenant: &Tenant, weight: NonZeroU32) {
        if weight == NonZeroU32::MIN {
            self.weights.remove(tenant);
        } else {
            self.weights.insert(tenant.clone(), weight);
        }
    }

    pub(super) fn clear_weights(&mut self) {
        self.weights.clear();
    }

    pub(super) fn weight(&self, tenant: &Tenant) -> NonZeroU32 {
        self.weights.get(tenant).copied().unwrap_or(NonZeroU32::MIN)
    }

    /// What decides whose turn it is.
    pub(super) fn pace(&self, tenant: &Tenant, now: Timestamp) -> Pace {
        let weight = self.weight(tenant);
        let account = self.accounts.get(tenant);
        account.map_or(Pace { charged: self.average, running: 0, estimate: 0, weight }, |account| {
            // Whoever was not seen yet is taken for one like the others. To hold another guess of some than of the rest
            // would keep their turns back for as long as the guess is wrong.
            let estimate = account.took.or(self.took).unwrap_or(self.guess);
            Pace { charged: account.charged, running: account.running(now, estimate), estimate, weight }
        })
    }

    /// The tenant has something waiting from now on.
    pub(super) fn waits(&mut self, tenant: &Tenant, now: Timestamp) {
        if self.accounts.get(tenant).is_some_and(|account| account.waits) {
            return;
        }
        self.count(now);
        let others = || self.accounts.iter().filter(|(other, _)| *other != tenant);
        let had = |(other, account): (&Tenant, &Account)| self.had(other, account, now);
        let active = others().filter(|(_, account)| account.is_active()).map(had).min();
        let waiting = others().filter(|(_, account)| account.waits).map(had).min();
        let least = active.unwrap_or(0).max(waiting.unwrap_or(0).saturating_sub(self.credit));
        let charged = self.average;
        let fresh = || Account { charged, took: None, ran: 0, waits: false, begun: BTreeMap::new() };
        self.accounts.entry(tenant.clone()).or_insert_with(fresh).waits = true;
        self.lift(tenant, least, now);
    }

    /// The tenant has nothing waiting any more.
    pub(super) fn waits_no_more(&mut self, tenant: &Tenant, now: Timestamp) {
        self.count(now);
        if let Some(account) = self.accounts.get_mut(tenant) {
            account.waits = false;
        }
        self.forget();
    }

    /// One of the tenant's entries began.
    pub(super) fn begins(&mut self, tenant: &Tenant, now: Timestamp) {
        self.count(now);
        if let Some(account) = self.accounts.get_mut(tenant) {
            *account.begun.entry(now).or_default() += 1;
        }
    }

    /// It was the turn of these tenants, and another's entry began because none of theirs could. They are lifted
    /// together, so that what they owe each other stays as it is.
    pub(super) fn were_passed_over(&mut self, tenants: &[Tenant], for_whom: &Tenant, now: Timestamp) {
        let had = |tenant: &Tenant| Some(self.had(tenant, self.accounts.get(tenant)?, now));
        let Some(highest) = tenants.iter().filter_map(had).max() else { return };
        let least = had(for_whom).unwrap_or(0).saturating_sub(self.credit);
        for tenant in tenants {
            if let Some(account) = self.accounts.get_mut(tenant) {
                account.charged += least.saturating_sub(highest);
            }
        }
    }

    /// One of the tenant's entries ended.
    pub(super) fn ends(&mut self, tenant: &Tenant, begun: Timestamp, now: Timestamp) {
        self.count(now);
        let took = elapsed(begun, now).max(1);
        let charge = self.divided(took.into(), tenant);
        self.took = Some(lately(self.took, took));
        if let Some(account) = self.accounts.get_mut(tenant) {
            account.charged += charge;
            account.ran += took;
            account.took = Some(lately(account.took, took));
            if let Some(count) = account.begun.get_mut(&begun) {
                *count -= 1;
                if *count == 0 {
                    account.begun.remove(&begun);
                }
            }
        }
        self.forget();
    }

    /// For how long the tenant's entries ran, since its account was opened, in milliseconds.
    pub(super) fn ran(&self, tenant: &Tenant, now: Timestamp) -> u64 {
        let ran = |account: &Account| {
            account.ran.saturating_add(u64::try_from(account.running(now, 0)).unwrap_or(u64::MAX))
        };
        self.accounts.get(tenant).map_or(0, ran)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    /// What a tenant has had until now.
    fn had(&self, tenant: &Tenant, account: &Account, now: Timestamp) -> Level {
        account.charged + self.divided(account.running(now, 0), tenant)
    }

    fn lift(&mut self, tenant: &Tenant, least: Level, now: Timestamp) {
        let Some(had) = self.accounts.get(tenant).map(|account| self.had(tenant, account, now)) else {
            return;
        };
        if let Some(account) = self.accounts.get_mut(tenant) {
            account.charged += least.saturating_sub(had);
        }
    }

    /// Counts how far all have come on the average, before somebody comes or goes.
    fn count(&mut self, now: Timestamp) {
        let passed = elapsed(self.counted, now);
        self.counted = self.counted.max(now);
        let active = || self.accounts.iter().filter(|(_, account)| account.is_active());
        let running: u64 = active().flat_map(|(_, account)| account.begun.values()).sum();
        let weights: u128 = active().map(|(tenant, _)| u128::from(self.weight(tenant).get())).sum();
        let least = active().map(|(tenant, account)| self.had(tenant, account, now)).min();
        let further = u128::from(passed) * u128::from(running) * PARTS / weights.max(1);
        self.average = (self.average + further).max(least.unwrap_or(0));
    }

    /// Closes the accounts that say nothing: whoever comes again begins there anyway.
    fn forget(&mut self) {
        let average = self.average;
        self.accounts.retain(|_, account| account.is_active() || account.charged > average);
    }

    fn divided(&self, millis: u128, tenant: &Tenant) -> Level {
        divided(millis, self.weight(tenant))
    }
}

/// What a tenant has had and what it has running.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    charged: Level,
    running: u128,
    estimate: u64,
    weight: NonZeroU32,
}

impl Pace {
    /// The tenant's level as if `more` of its entries had just begun.
    pub(super) fn level(&self, more: u64) -> Level {
        let expected = u128::from(more) * u128::from(self.estimate);
        self.charged + divided(self.running + expected, self.weight)
    }
}

impl Account {
    fn is_active(&self) -> bool {
        self.waits || !self.begun.is_empty()
    }

    /// The time of what runs, each of it no less than `least`, in milliseconds.
    fn running(&self, now: Timestamp, least: u64) -> u128 {
        let of = |(begun, count): (&Timestamp, &u64)| {
            u128::from(elapsed(*begun, now).max(least)) * u128::from(*count)
        };
        self.begun.iter().map(of).sum()
    }
}

fn divided(millis: u128, weight: NonZeroU32) -> Level {
    millis.saturating_mul(PARTS) / u128::from(weight.get())
}

/// What entries took lately, after one more.
fn lately(before: Option<u64>, took: u64) -> u64 {
    before.map_or(took, |before| before.saturating_mul(3).saturating_add(took) / 4)
}

fn elapsed(begun: Timestamp, now: Timestamp) -> u64 {
    now.0.saturating_sub(begun.0)
}

//! Whose turn it is, and who may start.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Claims, FairQueue, Resource, Tenant,
    line::{Group, Line, Rank},
};
use crate::Timestamp;

/// An entry whose patience is at its end, and since when others start before it.
type Overdue<'q, T> = (&'q Rank<T>, &'q Arc<Claims>, Timestamp);

impl<T: Ord + Clone> FairQueue<T> {
    /// Starts the entry whose turn it is, or the first after it that can start.
    pub fn pop(&mut self, now: Timestamp) -> Option<T> {
        self.advance(now);
        let mut kept = BTreeSet::new();
        let ticket = match self.first_overdue(&mut kept) {
            Some(ticket) => ticket,
            None => self.first_by_turn(kept)?,
        };
        self.start(&ticket);
        Some(ticket)
    }

    /// The first overdue entry that can start. What those before it are short of is kept for them.
    fn first_overdue(&self, kept: &mut BTreeSet<Resource>) -> Option<T> {
        for (rank, claims, _) in self.overdue(self.now) {
            if wants(claims, kept) {
                continue;
            }
            if self.pool.fits(claims) {
                return Some(rank.ticket.clone());
            }
            kept.extend(self.pool.short(claims).cloned());
        }
        None
    }

    /// The first entry by turn that can start without what is kept.
    fn first_by_turn(&mut self, kept: BTreeSet<Resource>) -> Option<T> {
        let mut before = Vec::new();
        for tenant in self.by_turn() {
            let heads = self.lines.get(&tenant)?.heads();
            let may_start = |claims: &Claims| {
                self.pool.fits(claims) && self.pool.closed(claims).is_none() && !wants(claims, &kept)
            };
            let able = heads.filter(|(_, claims, _)| may_start(claims)).map(|(rank, ..)| rank);
            if let Some(first) = able.min().cloned() {
                self.note_passed_over(&before, &tenant, &first);
                return Some(first.ticket);
            }
            before.push(tenant);
        }
        None
    }

    /// The entries that were passed over for too long and could start if enough were given back, the longest first.
    pub(super) fn overdue(&self, now: Timestamp) -> Vec<Overdue<'_, T>> {
        let patience = self.fairness.patience;
        let counts = |(_, claims, group): &(&Rank<T>, &Arc<Claims>, &Group<T>)| {
            group.is_overdue(now, patience) && self.may_be_passed_over(claims)
        };
        let heads = self.lines.values().flat_map(Line::heads).filter(counts);
        let since = |(rank, claims, group): (_, _, &Group<T>)| Some((rank, claims, group.passed_since?));
        let mut overdue: Vec<_> = heads.filter_map(since).collect();
        overdue.sort_unstable_by(|(rank, _, since), (other, _, later)| (since, rank).cmp(&(later, other)));
        overdue
    }

    /// Whether an entry waits for others to end, and not for something to be opened or for a limit to be raised: nothing
    /// is kept for those.
    fn may_be_passed_over(&self, claims: &Claims) -> bool {
        self.pool.closed(claims).is_none() && self.pool.would_fit(claims)
    }

    /// Whether anything of a tenant waits for what others have, and not for the tenant's own entries or for something to
    /// be opened.
    fn waits_for_others(&self, tenant: &Tenant) -> bool {
        let own = |resource: &Resource| matches!(resource, Resource::Tenant(_) | Resource::Key(_));
        let waits = |claims: &Claims| self.may_be_passed_over(claims) && !self.pool.short(claims).any(own);
        self.lines.get(tenant).is_some_and(|line| line.heads().any(|(_, claims, _)| waits(claims)))
    }

    /// The tenants with something waiting, the one first whose turn it is.
    fn by_turn(&self) -> Vec<Tenant> {
        let level = |tenant: &Tenant| {
            // With nobody else there is nothing to compare.
            if self.lines.len() < 2 { 0 } else { self.accounts.pace(tenant, self.now).level(0) }
        };
        let lines = self.lines.iter();
        let mut turns: Vec<_> = lines.map(|(tenant, line)| (level(tenant), line.first(), tenant)).collect();
        turns.sort_unstable();
        turns.into_iter().map(|(.., tenant)| tenant.clone()).collect()
    }

    /// Notes whose turn it was when the entry `first` of `tenant` was chosen.
    fn note_passed_over(&mut self, before: &[Tenant], tenant: &Tenant, first: &Rank<T>) {
        let (rivals, alone): (Vec<Tenant>, Vec<Tenant>) =
            before.iter().cloned().partition(|passed| self.waits_for_others(passed));
        self.accounts.were_passed_over(&rivals, tenant, self.now);
        for passed in alone {
            self.accounts.were_passed_over(&[passed], tenant, self.now);
        }
        let Some(begins) = self.waiting.get(&first.ticket).map(|waiting| Arc::clone(&waiting.claims)) else {
            return;
        };
        let (now, pool) = (self.now, &self.pool);
        let whole = before.iter().map(|passed| (passed, None));
        for (passed, until) in whole.chain([(tenant, Some(first))]) {
            let Some(line) = self.lines.get_mut(passed) else { continue };
            for (claims, group) in &mut line.groups {
                let comes_before = until.is_none_or(|until| group.waiting.first() < Some(until));
                // Whoever waits for what the other does not take has lost nothing to it.
                if comes_before && pool.short(claims).any(|resource| begins.of(resource) > 0) {
                    group.passed_since.get_or_insert(now);
                }
            }
        }
    }
}

fn wants(claims: &Claims, kept: &BTreeSet<Resource>) -> bool {
    claims.iter().any(|(resource, _)| kept.contains(resource))
}

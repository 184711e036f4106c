//! What comes into the queue, and by which rules.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Claims, Priority, Resource, Tenant};
use crate::Timestamp;

/// How turns are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fairness {
    /// How much earlier one point of priority makes an entry.
    pub step: Duration,
    /// How long others may take, before an entry whose turn it is, of what it needs more of than is free. After that,
    /// nothing else that claims what it is short of starts before it.
    pub patience: Duration,
    /// How much time of one slot, at a weight of 1, a tenant keeps of its share while it can start nothing although it is
    /// its turn. More than that goes to the others for good.
    pub credit: Duration,
    /// What an entry is taken to need before any has ended. After that, those of a tenant are taken to need what its own took
    /// lately, or those of the others.
    pub estimate: Duration,
}

impl Default for Fairness {
    fn default() -> Self {
        Self {
            step: Duration::from_secs(30),
            patience: Duration::from_mins(5),
            credit: Duration::from_mins(10),
            estimate: Duration::from_mins(1),
        }
    }
}

/// What waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose turn it takes.
    pub tenant: Tenant,
    /// What goes first of that tenant.
    pub priority: Priority,
    /// Since when it waits. An entry that comes again keeps its place by keeping this.
    pub arrived: Timestamp,
    /// What it takes while it runs.
    pub claims: Claims,
}

impl Entry {
    /// An entry without a priority.
    pub fn new(tenant: Tenant, arrived: Timestamp, claims: Claims) -> Self {
        Self { tenant, priority: Priority::default(), arrived, claims }
    }
}

/// Why an entry is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It could never start. Of memory and disk, which come and go, the highest limit so far counts.
    #[error("asked for {asked} {resource}, where there are never more than {limit}")]
    TooLarge {
        /// Of what it claims too much.
        resource: Resource,
        /// How much it claims.
        asked: u64,
        /// How much there is.
        limit: u64,
    },
    /// An entry with the same ticket waits or runs.
    #[error("an entry with the same ticket is here already")]
    Known,
}

/// How much of one tenant is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Its share beside that of others.
    pub weight: NonZeroU32,
    /// How many of its entries wait.
    pub waiting: usize,
    /// How many of its entries run.
    pub running: usize,
    /// For how long its entries ran since it came, those that still run included, in milliseconds: what its share is judged
    /// by.
    pub ran_ms: u64,
}

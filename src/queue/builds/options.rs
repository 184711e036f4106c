//! How the builds of a folder are run.

use std::{collections::BTreeMap, num::NonZeroU32};

use polyarch_actors::queue::{Fairness, Limits, Refusal, Resource, Tenant};

use crate::queue::Retention;

/// How the builds of a folder are run. `fairness`, `min_free` and `log_bytes` are those with which the folder is opened.
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// How many builds run at once; twice the number of CPUs by default, and at least 4.
    pub max_running: u64,
    /// How many builds of one tenant run at once; as many as of all where nothing is said.
    pub max_running_each: Option<u64>,
    /// How many builds of one tenant may wait; 10,000 by default.
    pub max_waiting_each: usize,
    /// What is said of some tenants.
    pub tenants: BTreeMap<Tenant, TenantOptions>,
    /// How turns are decided.
    pub fairness: Fairness,
    /// Whether the builds of each tenant have a [scope](crate::BuildSpec::scope) of their own, unless they name one.
    pub scopes: bool,
    /// How often the process may go away that builds a build: as many times, and the build is lost; 3 by default. A process
    /// that stops the build before it ends, as [`BuildQueue::close`](super::BuildQueue::close) does, is not counted.
    pub attempts: u32,
    /// No build is begun while less than this is free where the store is, in bytes; 1 GiB by default.
    pub min_free: u64,
    /// How much memory builds that run may take together, in bytes, as far as they say what they take
    /// ([`BuildSpec::resources`](crate::BuildSpec::resources)); without a limit by default. The others wait, and one that
    /// could take more by itself is refused.
    pub memory: Option<u64>,
    /// How much memory a build is taken to need that does not say what it takes, in bytes; 0 by default.
    pub memory_each: u64,
    /// Whether a build fails that no backend can hold to what its steps may take together. By default it is built all the
    /// same, and a warning says what is not held.
    pub require_resources: bool,
    /// How much there is of what the platforms of builds take from the supervisor.
    pub requests: Limits,
    /// What of builds that have ended is kept.
    pub retention: Retention,
    /// How large the log of one build may become before output of steps is left out, in bytes; 64 MiB by default.
    pub log_bytes: u64,
}

/// What is said of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantOptions {
    /// How many times the share of others it has; once, where nothing is said.
    pub weight: Option<NonZeroU32>,
    /// How many of its builds run at once.
    pub max_running: Option<u64>,
    /// How many of its builds may wait.
    pub max_waiting: Option<usize>,
}

impl Default for QueueOptions {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            max_running: u64::try_from(2 * cpus).unwrap_or(u64::MAX).max(4),
            max_running_each: None,
            max_waiting_each: 10_000,
            tenants: BTreeMap::new(),
            fairness: Fairness::default(),
            scopes: false,
            attempts: 3,
            min_free: 1 << 30,
            memory: None,
            memory_each: 0,
            require_resources: false,
            requests: Limits::default(),
            retention: Retention::default(),
            log_bytes: crate::queue::log::LARGEST_LOG,
        }
    }
}

impl QueueOptions {
    pub(super) fn weights(&self) -> BTreeMap<Tenant, NonZeroU32> {
        let weight =
            |(tenant, of_tenant): (&Tenant, &TenantOptions)| Some((tenant.clone(), of_tenant.weight?));
        self.tenants.iter().filter_map(weight).collect()
    }

    /// How much memory a build takes that may take this much, in bytes.
    pub(super) fn memory_of(&self, may_take: Option<u64>) -> u64 {
        may_take.unwrap_or(self.memory_each)
    }

    /// Why a build that takes this much memory could never run, if so.
    pub(super) fn refusal(&self, asked: u64) -> Option<Refusal> {
        let limit = self.memory.filter(|limit| asked > *limit)?;
        Some(Refusal::TooLarge { resource: Resource::Memory, asked, limit })
    }

    pub(super) fn max_waiting(&self, tenant: &Tenant) -> usize {
        let own = self.tenants.get(tenant).and_then(|options| options.max_waiting);
        own.unwrap_or(self.max_waiting_each)
    }
}

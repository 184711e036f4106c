//! The counters.

use std::time::Duration;

use polyarch_actors::{BackendId, BuildError, Fault, Platform};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{
    disk::Disk,
    labels::{self, ENDS, Labels},
};
use crate::queue::BuildState;

/// How long builds wait, in seconds: from no time at all to half a day.
const WAITS: [f64; 10] = [0.1, 0.5, 2.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 43_200.0];
/// How long builds take, in seconds: from one whose steps are known to half a day.
const DURATIONS: [f64; 10] = [0.5, 2.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 7200.0, 43_200.0];

/// What is counted of the builds of a queue since the process began. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Counts {
    ended: Family<Labels, Counter>,
    waits: Histogram,
    durations: Family<Labels, Histogram>,
    platforms: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    transfer_retries: Counter,
    steps: Family<Labels, Counter>,
    pushed: Counter,
    pulled: Counter,
    disk: Disk,
}

impl Default for Counts {
    fn default() -> Self {
        let counts = Self {
            ended: Family::default(),
            waits: Histogram::new(WAITS),
            durations: Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram),
            platforms: Family::default(),
            retries: Family::default(),
            transfer_retries: Counter::default(),
            steps: Family::default(),
            pushed: Counter::default(),
            pulled: Counter::default(),
            disk: Disk::default(),
        };
        // The first failure is seen as a change only where there was a zero before.
        for (state, fault) in ENDS {
            drop(counts.ended.get_or_create(&labels::end(state, fault)));
            drop(counts.durations.get_or_create(&labels::state(state)));
        }
        for is_hit in [true, false] {
            drop(counts.steps.get_or_create(&labels::cache(is_hit)));
        }
        counts
    }
}

impl Counts {
    /// Shows everything in a registry of Prometheus.
    pub fn register(&self, registry: &mut Registry) {
        let ended = "Builds that ended, by their state and by who can do something about it";
        registry.register("builds_ended", ended, self.ended.clone());
        let waits = "How long builds waited from their submission to the beginning of their first attempt";
        registry.register("build_queue_seconds", waits, self.waits.clone());
        let durations = "How long builds took from the beginning of their last attempt, by their state";
        registry.register("build_duration_seconds", durations, self.durations.clone());
        let platforms = "Platforms of builds that ended: built, failed, or stopped because of something else";
        registry.register("platforms_ended", platforms, self.platforms.clone());
        let retries =
            "Attempts of platforms that failed for a fault of the host or the network, and were made again";
        registry.register("retries", retries, self.retries.clone());
        let transfers = "Requests to registries that failed, and were made again";
        registry.register("transfer_retries", transfers, self.transfer_retries.clone());
        let steps = "Steps that ended well, by whether they took a result that was there or just being made";
        registry.register("steps", steps, self.steps.clone());
        let pushed = "Bytes of images that registries have got, with those that they had before";
        registry.register("pushed_bytes", pushed, self.pushed.clone());
        let pulled = "Bytes of base images that were fetched, where the backend knows";
        registry.register("pulled_bytes", pulled, self.pulled.clone());
        registry.register_collector(Box::new(self.disk.clone()));
    }

    /// A build was begun for the first time.
    pub(in crate::queue) fn began(&self, waited: Duration) {
        self.waits.observe(waited.as_secs_f64());
    }

    /// A build came to its final state, which it did once; `took` where it was ever begun.
    pub(in crate::queue) fn ended(&self, state: BuildState, fault: Option<Fault>, took: Option<Duration>) {
        self.ended.get_or_create(&labels::end(state, fault)).inc();
        if let Some(took) = took {
            self.durations.get_or_create(&labels::state(state)).observe(took.as_secs_f64());
        }
    }

    /// What the store takes of the disk, in bytes.
    pub(in crate::queue) fn store_takes(&self, bytes: u64) {
        self.disk.change(|known| known.taken = Some(bytes));
    }

    /// What is free on the disk of the store, in bytes.
    pub(in crate::queue) fn free(&self, bytes: u64) {
        self.disk.change(|known| known.free = Some(bytes));
    }

    pub(super) fn platform_ended(
        &self,
        on: Option<&BackendId>,
        platform: &Platform,
        error: Option<&BuildError>,
    ) {
        self.platforms.get_or_create(&labels::outcome(on, platform, error)).inc();
    }

    pub(super) fn retried(&self, on: Option<&BackendId>) {
        self.retries.get_or_create(&labels::backend(on)).inc();
    }

    pub(super) fn transfer_retried(&self) {
        self.transfer_retries.inc();
    }

    pub(super) fn step_finished(&self, is_hit: bool) {
        self.steps.get_or_create(&labels::cache(is_hit)).inc();
    }

    pub(super) fn pushed(&self, bytes: u64) {
        self.pushed.inc_by(bytes);
    }

    pub(super) fn pulled(&self, bytes: u64) {
        self.pulled.inc_by(bytes);
    }
}

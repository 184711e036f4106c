//! What waits and what runs, for whoever wants to see it.

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;
use serde::{Deserialize, Serialize};

use super::BuildSupervisor;
use crate::{
    BuildId, Platform,
    queue::{Counts, Place, Resource, Share, Tenant},
};

/// Asks what waits and what runs.
#[derive(Debug, Message)]
#[rtype(result = "QueueReport")]
pub struct DescribeQueue;

/// What waits and what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    /// The requests that wait, in the order in which they would start if there were enough of everything.
    pub waiting: Vec<WaitingRequest>,
    /// How many requests run.
    pub running: usize,
    /// How much of each tenant waits and runs, for those that have anything here.
    pub tenants: BTreeMap<Tenant, Counts>,
    /// Each resource that is taken or has a limit.
    pub resources: Vec<ResourceReport>,
}

/// One platform of a build that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRequest {
    /// The build.
    pub build: BuildId,
    /// Which of its platforms.
    pub platform: Platform,
    /// Whose turn it takes.
    pub share: Share,
    /// Where it is and what it waits for.
    pub place: Place,
}

/// How much of a resource is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceReport {
    /// The resource.
    pub resource: Resource,
    /// How much of it is taken by what runs.
    pub taken: u64,
    /// How much there is of it, where that is limited.
    pub limit: Option<u64>,
}

impl BuildSupervisor {
    pub(super) fn describe_queue(&self) -> QueueReport {
        let waiting = self.queue.places(self.clock.now()).into_iter().filter_map(|(ticket, place)| {
            let job = self.jobs.get(&ticket)?;
            Some(WaitingRequest {
                build: job.request.build.clone(),
                platform: job.request.platform.clone(),
                share: job.share.clone(),
                place,
            })
        });
        let taken: BTreeMap<&Resource, u64> = self.queue.taken().collect();
        let limits = self.queue.limits();
        let named: BTreeSet<&Resource> = limits.iter().map(|(resource, _)| resource).collect();
        let resource = |resource: &&Resource| ResourceReport {
            resource: (*resource).clone(),
            taken: taken.get(resource).copied().unwrap_or(0),
            limit: limits.of(resource),
        };
        let all: BTreeSet<&Resource> = named.into_iter().chain(taken.keys().copied()).collect();
        QueueReport {
            waiting: waiting.collect(),
            running: self.queue.running(),
            tenants: self.queue.counts(),
            resources: all.iter().map(resource).collect(),
        }
    }
}

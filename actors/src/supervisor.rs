//! The actor that takes builds and sees every one of them to an end.
//!
//! It routes each request, queues it until it is its turn and its backend has a free slot, tries faults of the host again,
//! applies the failure policy and answers with one outcome in the requested order. It is the only place that
//! queues. All decisions are made by what is pure: `route`, `queue` and `collect`; this actor carries them
//! out. It stops when it is told to shut down, after every build has ended. A panic here would cost all
//! builds, so nothing that a backend provides runs in this actor.

mod builds;
mod lanes;
mod places;
mod report;
mod turns;

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    time::Duration,
};

use actix::prelude::*;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use self::report::{DescribeQueue, QueueReport, ResourceReport, WaitingRequest};
use self::{
    builds::{Job, Running},
    lanes::{Lane, probe},
    places::Announcer,
    turns::{Clock, Ticket},
};
use crate::{
    Availability, BackendId, BackendReport, BuildError, BuildId, BuildRequest, EventSink, FailurePolicy,
    ImageOs, Outcome, RetryPolicy, Route, RouteTable, SharedBackend, StatusBoard,
    collect::Collector,
    queue::{FairQueue, Fairness, Limits, Share, Tenant},
};

/// Messages that may wait in the mailbox before `send` has to.
const MAILBOX: usize = 256;
/// How long builds may take to clean up after they were cancelled by a shutdown.
const CLEAN_UP: Duration = Duration::from_mins(1);

/// The limits of a supervisor.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    /// How much there is of what requests take while they run: slots in all, of a tenant, for a platform; memory and
    /// disk. A limit of a backend counts besides its own slots.
    pub limits: Limits,
    /// How many times the share of others a tenant has; once, where nothing is said.
    pub weights: BTreeMap<Tenant, NonZeroU32>,
    /// How turns are decided.
    pub fairness: Fairness,
    /// The memory that a request takes whose steps have no limit of it, in bytes.
    pub memory: u64,
    /// The disk that a request takes while it runs, in bytes. A limit of disk is for what runs and what is to start
    /// together: what is free, and what those that run have written already.
    pub disk: u64,
    /// The most requests that may wait; a build that would exceed it is refused whole.
    pub max_waiting: usize,
    /// When faults of the host and the network are tried again.
    pub retry: RetryPolicy,
    /// How often a lost backend gets a new actor before it is given up; losses before ten calm minutes do not count.
    pub restarts: u32,
    /// Sentences for a person whose image of that OS no backend here can build.
    pub ways_out: BTreeMap<ImageOs, Vec<String>>,
}

impl Default for SupervisorConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            weights: BTreeMap::new(),
            fairness: Fairness::default(),
            memory: 0,
            disk: 0,
            max_waiting: 10_000,
            retry: RetryPolicy::default(),
            restarts: 5,
            ways_out: BTreeMap::new(),
        }
    }
}

/// Runs all platforms of one build and answers when each has ended.
#[derive(Debug, Message)]
#[rtype(result = "Outcome")]
pub struct RunBuild {
    /// The build.
    pub build: BuildId,
    /// One request a platform; the outcome has the same order.
    pub requests: Vec<BuildRequest>,
    /// What the failure of one platform means for the others.
    pub policy: FailurePolicy,
    /// Whose turn it takes.
    pub share: Share,
    /// Where events go.
    pub events: EventSink,
    /// Fires when the build is no longer wanted.
    pub cancel: CancellationToken,
}

/// Asks where requests would go, without building anything.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Result<Route, BuildError>>")]
pub struct PlanRoutes(pub Vec<BuildRequest>);

/// Asks for the backends in order of preference and what each can do.
#[derive(Debug, Message)]
#[rtype(result = "Vec<BackendReport>")]
pub struct DescribeBackends;

/// Replaces the limits and the weights. What runs goes on; what waits has to fit from now on.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct SetLimits {
    /// How much there is, as in [`SupervisorConfig::limits`].
    pub limits: Limits,
    /// How many times the share of others a tenant has, as in [`SupervisorConfig::weights`].
    pub weights: BTreeMap<Tenant, NonZeroU32>,
}

/// Takes no more builds, waits for the running ones, cancels what still runs after `grace`, closes the
/// backends and stops. Answers when all of that is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// How long builds may go on.
    pub grace: Duration,
}

/// Routes, queues, retries and collects. See the module's words.
pub struct BuildSupervisor {
    config: SupervisorConfig,
    table: RouteTable,
    lanes: HashMap<BackendId, Lane>,
    queue: FairQueue<Ticket>,
    clock: Clock,
    announcer: Announcer,
    jobs: HashMap<Ticket, Job>,
    builds: HashMap<BuildId, Running>,
    board: StatusBoard,
    next_ticket: Ticket,
    /// Those who wait for the shutdown; present once it has begun.
    shutdown: Option<Vec<oneshot::Sender<()>>>,
}

impl BuildSupervisor {
    /// Probes the backends, starts an actor for each usable one on an arbiter of its own, and starts the
    /// supervisor on the current arbiter. `backends` is in order of preference.
    pub async fn launch(
        backends: Vec<SharedBackend>,
        config: SupervisorConfig,
        board: StatusBoard,
    ) -> Addr<Self> {
        let reports = join_all(backends.iter().map(probe)).await;
        let mut supervisor = Self {
            queue: FairQueue::new(config.fairness, config.limits.clone()),
            clock: Clock::start(),
            announcer: Announcer::default(),
            table: RouteTable::new(reports.clone(), config.ways_out.clone()),
            config,
            lanes: HashMap::new(),
            jobs: HashMap::new(),
            builds: HashMap::new(),
            board,
            next_ticket: 0,
            shutdown: None,
        };
        for (backend, report) in backends.into_iter().zip(reports) {
            if matches!(report.capabilities.availability, Availability::Usable(_)) {
                let slots = report.capabilities.slots.max(1);
                supervisor.lanes.insert(report.id, Lane::start(backend, slots));
            }
        }
        let SupervisorConfig { limits, weights, .. } = supervisor.config.clone();
        supervisor.set_limits(SetLimits { limits, weights });
        supervisor.start()
    }
}

impl Actor for BuildSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Self::Context) {
        cx.set_mailbox_capacity(MAILBOX);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        for lane in self.lanes.values() {
            lane.arbiter.stop();
        }
    }
}

impl Handler<RunBuild> for BuildSupervisor {
    type Result = ResponseFuture<Outcome>;

    fn handle(&mut self, message: RunBuild, cx: &mut Self::Context) -> Self::Result {
        let (reply, outcome) = oneshot::channel();
        let fallback = Collector::new(message.build.clone(), &message.requests, message.policy);
        if self.builds.contains_key(&message.build) {
            let error = BuildError::invalid(format!("a build with the id {} is running", message.build));
            return Box::pin(fut::ready(fallback.fail(&error)));
        }
        self.take(message, reply, cx);
        Box::pin(async move { outcome.await.unwrap_or_else(|_| fallback.fail(&BuildError::ShuttingDown)) })
    }
}

impl Handler<PlanRoutes> for BuildSupervisor {
    type Result = MessageResult<PlanRoutes>;

    fn handle(&mut self, PlanRoutes(requests): PlanRoutes, _: &mut Self::Context) -> Self::Result {
        MessageResult(requests.iter().map(|request| self.table.route(request)).collect())
    }
}

impl Handler<DescribeBackends> for BuildSupervisor {
    type Result = MessageResult<DescribeBackends>;

    fn handle(&mut self, DescribeBackends: DescribeBackends, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.table.backends().to_vec())
    }
}

impl Handler<SetLimits> for BuildSupervisor {
    type Result = ();

    fn handle(&mut self, message: SetLimits, cx: &mut Self::Context) -> Self::Result {
        self.set_limits(message);
        self.start_what_may(cx);
    }
}

impl Handler<DescribeQueue> for BuildSupervisor {
    type Result = MessageResult<DescribeQueue>;

    fn handle(&mut self, DescribeQueue: DescribeQueue, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.describe_queue())
    }
}

impl Handler<Shutdown> for BuildSupervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Shutdown { grace }: Shutdown, cx: &mut Self::Context) -> Self::Result {
        let (done, wait) = oneshot::channel();
        match &mut self.shutdown {
            Some(waiting) => waiting.push(done),
            None => self.shutdown = Some(vec![done]),
        }
        cx.run_later(grace, |supervisor, cx| {
            let running: Vec<BuildId> = supervisor.builds.keys().cloned().collect();
            for build in running {
                supervisor.stop(&build, &BuildError::Cancelled, cx);
            }
            // A backend that never acknowledges must not keep the process: dropping its builds ends them.
            cx.run_later(CLEAN_UP, Self::close_backends);
        });
        if self.builds.is_empty() {
            self.close_backends(cx);
        }
        Box::pin(async move {
            // An error means that the actor is gone, which is what was asked for.
            let _ = wait.await;
        })
    }
}

//! A supervisor that a test drives.

use std::{sync::Arc, time::Duration};

use actix::Addr;
use futures::StreamExt;
use polyarch_actors::{
    BuildError, BuildId, BuildRequest, BuildSupervisor, EventKind, EventSink, FailurePolicy, Outcome,
    Platform, PlatformState, RetryPolicy, RunBuild, SharedBackend, Shutdown, StatusBoard, SupervisorConfig,
    queue::Share,
    testing::{ScriptedBackend, request},
};
use tokio_util::sync::CancellationToken;

/// A supervisor, its backends, and what a test needs to drive it.
pub(crate) struct Core {
    pub(crate) supervisor: Addr<BuildSupervisor>,
    pub(crate) board: StatusBoard,
    pub(crate) backends: Vec<ScriptedBackend>,
}

/// A build that is on its way.
pub(crate) struct Started {
    pub(crate) id: BuildId,
    pub(crate) events: EventSink,
    pub(crate) cancel: CancellationToken,
    outcome: tokio::task::JoinHandle<Outcome>,
}

pub(crate) fn quick() -> SupervisorConfig {
    let retry =
        RetryPolicy { retries: 2, backoff: Duration::from_millis(1), longest: Duration::from_millis(5) };
    SupervisorConfig { retry, ..SupervisorConfig::default() }
}

pub(crate) fn platform(text: &str) -> Platform {
    text.parse().expect("a platform")
}

pub(crate) fn platforms(texts: &[&str]) -> Vec<Platform> {
    texts.iter().map(|text| platform(text)).collect()
}

pub(crate) fn host_fault() -> BuildError {
    BuildError::Host { reason: "the machine hiccuped".into(), retryable: true }
}

pub(crate) fn user_fault() -> BuildError {
    BuildError::StepFailed { instruction: "RUN false".into(), exit_code: 1, output: vec![] }
}

impl Core {
    pub(crate) async fn start(backends: Vec<ScriptedBackend>, config: SupervisorConfig) -> Self {
        let board = StatusBoard::default();
        let shared = backends.iter().map(|backend| Arc::new(backend.clone()) as SharedBackend).collect();
        let supervisor = BuildSupervisor::launch(shared, config, board.clone()).await;
        Self { supervisor, board, backends }
    }

    pub(crate) async fn with(backend: ScriptedBackend) -> Self {
        Self::start(vec![backend], quick()).await
    }

    pub(crate) fn begin(&self, platforms: &[Platform], policy: FailurePolicy) -> Started {
        let id = BuildId::generate();
        let requests = platforms.iter().map(|platform| request(&id, platform)).collect();
        self.begin_requests(id, requests, policy)
    }

    pub(crate) fn begin_requests(
        &self,
        id: BuildId,
        requests: Vec<BuildRequest>,
        policy: FailurePolicy,
    ) -> Started {
        self.begin_shared(id, requests, policy, Share::default())
    }

    pub(crate) fn begin_shared(
        &self,
        id: BuildId,
        requests: Vec<BuildRequest>,
        policy: FailurePolicy,
        share: Share,
    ) -> Started {
        let (events, cancel) = (EventSink::new(id.clone()), CancellationToken::new());
        let message = RunBuild {
            build: id.clone(),
            requests,
            policy,
            share,
            events: events.clone(),
            cancel: cancel.clone(),
        };
        let supervisor = self.supervisor.clone();
        let outcome =
            actix::spawn(async move { supervisor.send(message).await.expect("the supervisor answers") });
        Started { id, events, cancel, outcome }
    }

    pub(crate) async fn run(&self, platforms: &[Platform]) -> (Outcome, Vec<EventKind>) {
        self.begin(platforms, FailurePolicy::FailFast).end().await
    }

    /// Waits until the state of the first platform of a build is as wanted.
    pub(crate) async fn until(&self, build: &BuildId, wanted: impl Fn(&PlatformState) -> bool) {
        for _ in 0..5000 {
            if self.board.get(build).is_some_and(|status| wanted(&status.platforms[0].1)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the build never came to the state: {:?}", self.board.get(build));
    }

    /// Shuts down and checks that nothing is left and no promise was broken.
    pub(crate) async fn finish(self) {
        self.supervisor.send(Shutdown { grace: Duration::ZERO }).await.expect("an answer");
        assert!(self.board.all().is_empty());
        for backend in &self.backends {
            assert_eq!(backend.violations(), Vec::<String>::new());
            assert_eq!(backend.running(), 0);
        }
    }
}

impl Started {
    pub(crate) async fn end(self) -> (Outcome, Vec<EventKind>) {
        let outcome = tokio::time::timeout(Duration::from_secs(20), self.outcome);
        let outcome = outcome.await.expect("the build ends").expect("no panic");
        self.events.emit(EventKind::Finished { error: None });
        let events = self.events.subscribe().map(|event| event.kind.clone()).collect().await;
        (outcome, events)
    }
}

pub(crate) fn errors(outcome: &Outcome) -> Vec<Option<BuildError>> {
    outcome.platforms.iter().map(|one| one.result.as_ref().err().cloned()).collect()
}

//! The ways that a crowd of builds can go.

use std::{fmt, sync::Arc, thread};

use actix::Addr;
use futures::{StreamExt as _, future::join_all};
use polyarch::{BuildSpec, DockerfileInput, Orchestrator};
use polyarch_actors::{
    BuildCx, BuildId, BuildSupervisor, EventKind, EventSink, FailurePolicy, Platform, RunBuild,
    SharedBackend, StatusBoard, SupervisorConfig, queue::Share, testing,
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A task for each build and a semaphore with a permit for each slot.
    Semaphore,
    /// The supervisor and the backend's actor.
    Actors,
    /// The whole of polyarch, as a service embeds it.
    Orchestrator,
}

/// All ways; the first is the one that the others are compared with.
pub(crate) const ALL: [Kind; 3] = [Kind::Semaphore, Kind::Actors, Kind::Orchestrator];

/// A way that is open.
pub(crate) enum Way {
    Semaphore(Arc<Semaphore>, SharedBackend),
    Actors(Addr<BuildSupervisor>),
    Orchestrator(Orchestrator, tempfile::TempDir),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Semaphore => "semaphore",
            Self::Actors => "actors",
            Self::Orchestrator => "orchestrator",
        })
    }
}

impl Way {
    /// Opens a way to a backend with this many slots.
    pub(crate) async fn open(kind: Kind, slots: usize, backend: SharedBackend) -> Self {
        match kind {
            Kind::Semaphore => Self::Semaphore(Arc::new(Semaphore::new(slots)), backend),
            Kind::Actors => Self::Actors(launch(backend).await),
            Kind::Orchestrator => {
                let folder = tempfile::tempdir().expect("a folder");
                let builder = Orchestrator::builder().store(folder.path().join("store")).backend(backend);
                let started = builder.supervisor(config()).start().await;
                Self::Orchestrator(started.expect("an orchestrator"), folder)
            }
        }
    }

    /// Sends a crowd at one moment and waits for its end.
    pub(crate) async fn run(&self, builds: usize) {
        match self {
            Self::Semaphore(semaphore, backend) => {
                let tasks = (0..builds).map(|_| wait_and_build(semaphore.clone(), backend.clone()));
                assert!(join_all(tasks).await.into_iter().all(|built| built.unwrap_or(false)));
            }
            Self::Actors(supervisor) => {
                let outcomes = join_all((0..builds).map(|_| supervisor.send(run_build()))).await;
                assert!(
                    outcomes.into_iter().all(|outcome| outcome.is_ok_and(|outcome| outcome.images().is_ok()))
                );
            }
            Self::Orchestrator(orchestrator, folder) => {
                let receipts = join_all((0..builds).map(|_| orchestrator.build(spec(folder.path())))).await;
                assert!(receipts.into_iter().all(|receipt| receipt.is_ok()));
            }
        }
    }

    /// Sends one build, and returns once it runs or waits. It goes on until the process ends.
    pub(crate) async fn enqueue(&self) {
        let mut events = match self {
            Self::Semaphore(semaphore, backend) => {
                drop(wait_and_build(semaphore.clone(), backend.clone()));
                return tokio::task::yield_now().await;
            }
            Self::Actors(supervisor) => {
                let message = run_build();
                let events = message.events.subscribe();
                tokio::spawn(supervisor.send(message));
                events.boxed()
            }
            Self::Orchestrator(orchestrator, folder) => {
                orchestrator.build(spec(folder.path())).events().boxed()
            }
        };
        while let Some(event) = events.next().await {
            // The first of all is not queued, and is about to run.
            if matches!(event.kind, EventKind::Queued { .. } | EventKind::Routed { .. }) {
                break;
            }
        }
    }
}

/// A supervisor on a thread of its own, which ends with the process.
async fn launch(backend: SharedBackend) -> Addr<BuildSupervisor> {
    let (started, supervisor) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        actix::System::new().block_on(async move {
            let supervisor = BuildSupervisor::launch(vec![backend], config(), StatusBoard::default()).await;
            // Nobody waits any more when the benchmark was ended.
            let _ = started.send(supervisor);
            std::future::pending::<()>().await;
        });
    });
    supervisor.await.expect("a supervisor")
}

/// Room for every crowd here.
fn config() -> SupervisorConfig {
    SupervisorConfig { max_waiting: 20_000, ..SupervisorConfig::default() }
}

/// Does without polyarch what the actors do: waits for a slot, and builds.
fn wait_and_build(semaphore: Arc<Semaphore>, backend: SharedBackend) -> JoinHandle<bool> {
    tokio::spawn(async move {
        let RunBuild { requests, events, cancel, .. } = run_build();
        let request = requests.into_iter().next().expect("one platform");
        let _slot = semaphore.acquire().await.expect("it is never closed");
        backend.build(request, BuildCx { events, cancel, emulated: false }).await.is_ok()
    })
}

/// A build of one platform.
fn run_build() -> RunBuild {
    let build = BuildId::generate();
    RunBuild {
        requests: vec![testing::request(&build, &Platform::host_linux())],
        policy: FailurePolicy::default(),
        share: Share::default(),
        events: EventSink::new(build.clone()),
        cancel: CancellationToken::new(),
        build,
    }
}

/// The same build for an orchestrator.
fn spec(context: &std::path::Path) -> BuildSpec {
    let text = "FROM scratch\nCOPY . /\n".to_owned();
    BuildSpec {
        dockerfile: DockerfileInput::Text { name: "Dockerfile".into(), text },
        ..BuildSpec::new(context).platforms([Platform::host_linux()])
    }
}

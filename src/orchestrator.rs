//! The facade: a handle on the actors that works from any async runtime.
//!
//! [`Orchestrator::builder`] starts an actix system on a thread of its own and a small runtime for what
//! surrounds the actors: reading the Dockerfile, assembling the index, publishing. The handle is cheap to
//! clone. When the last handle and the last running build are gone, everything stops by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    num::NonZeroU32,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use actix::Addr;
use futures::Stream;
use polyarch_actors::{
    BackendId, BackendReport, BuildError, BuildEvent, BuildId, BuildStatus, BuildSupervisor,
    DescribeBackends, DescribeQueue, EventKind, EventSink, PlanRoutes, Platform, QueueReport, Route,
    SetLimits, SharedBackend, Shutdown, StatusBoard, SupervisorConfig,
    queue::{Limits, Share, Tenant},
};
use tokio::{
    runtime::Runtime,
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    backend::{self, DetectOptions},
    config,
    error::Error,
    flow::{Flow, store_of},
    gather::gather,
    oci::{Reference, Store},
    prepare::{check_files, prepare},
    queue::{BuildQueue, QueueError, QueueOptions},
    receipt::Receipt,
    registry::TransferCx,
    spec::BuildSpec,
    time_limits::TimeLimits,
    trace::{self, TraceParent},
};

/// How long running builds get when the last handle is dropped without a shutdown.
const GRACE_OF_DROPPED: Duration = Duration::ZERO;

/// Takes builds. Cheap to clone; every clone means the same orchestrator.
#[derive(Clone)]
pub struct Orchestrator {
    inner: Arc<Inner>,
}

struct Inner {
    supervisor: Addr<BuildSupervisor>,
    board: StatusBoard,
    store: Store,
    helper: Option<PathBuf>,
    /// Present until it is shut down in the background when the last handle goes.
    runtime: Option<Runtime>,
    system: Mutex<System>,
    /// Whether it was told to end.
    ending: AtomicBool,
}

/// The thread of the actors.
#[derive(Default)]
struct System {
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Chooses what an orchestrator works with.
#[derive(Default)]
pub struct OrchestratorBuilder {
    store: Option<PathBuf>,
    backends: Option<Vec<SharedBackend>>,
    config: SupervisorConfig,
    helper: Option<PathBuf>,
    slots: Option<usize>,
    only: BTreeSet<BackendId>,
}

impl OrchestratorBuilder {
    /// The directory of the store; that of [`config::default_store`] if it is not given.
    #[must_use]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// A backend of one's own. With it, only backends that are given are used.
    #[must_use]
    pub fn backend(mut self, backend: SharedBackend) -> Self {
        self.backends.get_or_insert_default().push(backend);
        self
    }

    /// Uses none of this machine's backends but this one, and others of which that is said too, which takes less time;
    /// all if any of them is not there.
    #[must_use]
    pub fn only(mut self, backend: BackendId) -> Self {
        self.only.insert(backend);
        self
    }

    /// The limits and retries of the supervisor.
    #[must_use]
    pub fn supervisor(mut self, config: SupervisorConfig) -> Self {
        self.config = config;
        self
    }

    /// How many builds each of this machine's backends runs at once.
    #[must_use]
    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = Some(slots);
        self
    }

    /// A program that calls [`init`](crate::init) first in its `main`, for an embedder whose own
    /// program does not: the `polyarch` command is one.
    #[must_use]
    pub fn helper(mut self, program: impl Into<PathBuf>) -> Self {
        self.helper = Some(program.into());
        self
    }

    /// Opens the store, looks at what the backends can do here, and starts.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be opened, [`Error::Gone`] when no thread can be started.
    pub async fn start(self) -> Result<Orchestrator, Error> {
        let gone = |reason: String| Error::Gone { reason };
        let path = self.store.or_else(config::default_store);
        let path =
            path.ok_or_else(|| gone("there is no folder for the store (set POLYARCH_STORE)".into()))?;
        let store =
            spawn_blocking(move || Store::open(path)).await.map_err(|error| gone(error.to_string()))??;
        let mut config = self.config;
        let backends = self.backends.unwrap_or_else(|| {
            let options = DetectOptions { helper: self.helper.clone(), slots: self.slots };
            let mut detected = backend::detect(&store, options);
            let ids: BTreeSet<BackendId> = detected.iter().map(|backend| backend.id()).collect();
            if !self.only.is_empty() && self.only.is_subset(&ids) {
                detected.retain(|backend| self.only.contains(&backend.id()));
            }
            config.ways_out = backend::ways_out();
            detected
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("polyarch-flow")
            .enable_all()
            .build()
            .map_err(|error| gone(error.to_string()))?;
        let board = StatusBoard::default();
        let (system, started) =
            start_system(backends, config, board.clone()).map_err(|error| gone(error.to_string()))?;
        let supervisor = started.await.map_err(|_| gone("its actors did not start".into()))?;
        let (helper, system) = (self.helper, Mutex::new(system));
        let inner = Inner {
            supervisor,
            board,
            store,
            helper,
            runtime: Some(runtime),
            system,
            ending: AtomicBool::default(),
        };
        Ok(Orchestrator { inner: Arc::new(inner) })
    }
}

/// Starts the actors on a thread of their own, which ends after it is told to stop or the sender is dropped.
fn start_system(
    backends: Vec<SharedBackend>,
    config: SupervisorConfig,
    board: StatusBoard,
) -> std::io::Result<(System, oneshot::Receiver<Addr<BuildSupervisor>>)> {
    let (started, supervisor) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name("polyarch-actors".into()).spawn(move || {
        actix::System::new().block_on(async move {
            let supervisor = BuildSupervisor::launch(backends, config, board).await;
            // Nobody waits any more when the start was cancelled; then the next line ends this thread.
            let _ = started.send(supervisor.clone());
            let grace = stopped.await.unwrap_or(GRACE_OF_DROPPED);
            let _ = supervisor.send(Shutdown { grace }).await;
        });
    })?;
    Ok((System { stop: Some(stop), thread: Some(thread) }, supervisor))
}

impl Orchestrator {
    /// Chooses what to start with.
    pub fn builder() -> OrchestratorBuilder {
        OrchestratorBuilder::default()
    }

    /// Begins a build.
    pub fn build(&self, spec: BuildSpec) -> BuildHandle {
        self.build_within(spec, TimeLimits::default())
    }

    /// Begins a build whose parts may take only so long.
    pub fn build_within(&self, spec: BuildSpec, limits: TimeLimits) -> BuildHandle {
        let (id, waited, share) = (BuildId::generate(), Duration::ZERO, Share::default());
        self.begin(Begin { id, spec, limits, waited, share, trace: None })
    }

    /// The queue of the builds that are in the folder `data`, which survive whatever ends this process. Those that ran
    /// when it ended are begun again, and those that waited go on waiting. Only one process at a time runs the builds of a
    /// folder.
    ///
    /// # Errors
    /// [`QueueError::Folder`] while another process runs them, and where the folder cannot be used;
    /// [`QueueError::Records`] where the records cannot be read.
    pub async fn queue(
        &self,
        data: impl Into<PathBuf>,
        options: QueueOptions,
    ) -> Result<BuildQueue, QueueError> {
        BuildQueue::open(self.clone(), data.into(), options).await
    }

    /// Begins a build that has waited elsewhere.
    pub(crate) fn begin(&self, begin: Begin) -> BuildHandle {
        let Begin { id, spec, limits, waited, share, trace } = begin;
        let name = spec.tags.first().map(Reference::familiar);
        let span = trace::of_build(&id, &share.tenant, name.as_deref(), trace);
        let events = if span.is_disabled() {
            EventSink::new(id.clone())
        } else {
            EventSink::witnessed(id.clone(), Arc::new(trace::Spans::below(span.clone())))
        };
        let cancel = CancellationToken::new();
        let flow = Flow {
            spec,
            id: id.clone(),
            events: events.clone(),
            // What is late stops itself, which its owner did not ask for.
            cancel: cancel.child_token(),
            limits,
            waited,
            share,
            supervisor: self.inner.supervisor.clone(),
            store: self.inner.store.clone(),
            helper: self.inner.helper.clone(),
        };
        let keep_alive = self.clone();
        let outcome = self.inner.runtime.as_ref().map(|runtime| {
            let flow = async move {
                let _keep_alive = keep_alive;
                flow.run().await
            };
            runtime.spawn(flow.instrument(span))
        });
        BuildHandle { id, events, cancel, outcome }
    }

    /// Where each platform of a spec would be built, and why, without building it.
    pub async fn explain(
        &self,
        spec: BuildSpec,
    ) -> Result<Vec<(Platform, Result<Route, BuildError>)>, Error> {
        check_files(&spec)?;
        let Inner { store, helper, .. } = &*self.inner;
        let store = store_of(store.clone(), spec.scope.clone()).await?;
        let _lease = store.lease()?;
        let gathered = gather(&spec, &store, helper.as_deref(), &TransferCx::unwatched(), &|_| {}).await?;
        let prepared = prepare(&gathered, &BuildId::generate())?;
        let platforms: Vec<_> = prepared.requests.iter().map(|request| request.platform.clone()).collect();
        let routes = self.inner.supervisor.send(PlanRoutes(prepared.requests)).await.map_err(gone)?;
        Ok(platforms.into_iter().zip(routes).collect())
    }

    /// The backends in order of preference, and what each can do here.
    pub async fn backends(&self) -> Result<Vec<BackendReport>, Error> {
        self.inner.supervisor.send(DescribeBackends).await.map_err(gone)
    }

    /// The state of every live build, the oldest first.
    pub fn status(&self) -> Vec<(BuildId, BuildStatus)> {
        self.inner.board.all()
    }

    /// The store that the builds go to that have no scope; [`Store::scope`] is that of those with one.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Changes how much there is of what builds take, and whose share is how large.
    pub async fn set_limits(
        &self,
        limits: Limits,
        weights: BTreeMap<Tenant, NonZeroU32>,
    ) -> Result<(), Error> {
        self.inner.supervisor.send(SetLimits { limits, weights }).await.map_err(gone)
    }

    /// Which platforms of which builds wait for a backend, and what is taken.
    pub async fn requests(&self) -> Result<QueueReport, Error> {
        self.inner.supervisor.send(DescribeQueue).await.map_err(gone)
    }

    /// Whether nothing is built any more.
    pub(crate) fn is_ending(&self) -> bool {
        self.inner.ending.load(Ordering::Acquire) || !self.inner.supervisor.connected()
    }

    /// Runs something beside the builds, for as long as it takes or until the orchestrator goes.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.inner.runtime.as_ref().map(|runtime| runtime.spawn(work))
    }

    /// Takes no more builds, waits `grace` for the running ones, cancels the rest, and returns when nothing of
    /// them is left. A second call waits for the first. A queue of builds closes with it: what is cancelled goes on when
    /// the queue is opened again.
    pub async fn shutdown(&self, grace: Duration) {
        self.inner.ending.store(true, Ordering::Release);
        // The answer comes when the supervisor has stopped, or never when it already has.
        let _ = self.inner.supervisor.send(Shutdown { grace }).await;
        let thread = {
            let mut system = self.inner.system.lock().unwrap_or_else(PoisonError::into_inner);
            drop(system.stop.take());
            system.thread.take()
        };
        if let Some(thread) = thread {
            let _ = spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last handle may go inside this very runtime, where waiting for it is not possible.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A build to begin.
pub(crate) struct Begin {
    pub(crate) id: BuildId,
    pub(crate) spec: BuildSpec,
    pub(crate) limits: TimeLimits,
    /// How long it has waited.
    pub(crate) waited: Duration,
    /// Whose turn its platforms take.
    pub(crate) share: Share,
    /// The span elsewhere that it is part of; that of whoever begins it where there is none.
    pub(crate) trace: Option<TraceParent>,
}

/// A build that was begun. Await it for its end; dropping it neither waits nor cancels.
#[derive(Debug)]
pub struct BuildHandle {
    id: BuildId,
    events: EventSink,
    cancel: CancellationToken,
    outcome: Option<JoinHandle<Result<Receipt, Error>>>,
}

impl BuildHandle {
    /// The build.
    pub fn id(&self) -> &BuildId {
        &self.id
    }

    /// What happens, from the start of the build to its end. A reader that is too slow is told what it missed.
    pub fn events(&self) -> impl Stream<Item = Arc<BuildEvent>> + Send + Unpin + use<> {
        self.events.subscribe()
    }

    /// Asks for an early end. The build then ends with [`Error::Cancelled`], when nothing of it is left.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// The token behind [`Self::cancel`], to be kept apart from the handle.
    pub fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

impl Future for BuildHandle {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let lost = |reason: String| Error::Gone { reason };
        let Some(outcome) = self.outcome.as_mut() else {
            return Poll::Ready(Err(lost("the build has ended and was awaited before".into())));
        };
        let Poll::Ready(ended) = Pin::new(outcome).poll(cx) else { return Poll::Pending };
        self.outcome = None;
        Poll::Ready(ended.unwrap_or_else(|error| {
            let error = lost(format!("the build ended without a result ({error})"));
            self.events.emit(EventKind::Finished { error: Some(crate::flow::as_build_error(&error)) });
            Err(error)
        }))
    }
}

pub(crate) fn gone(error: actix::MailboxError) -> Error {
    Error::Gone { reason: error.to_string() }
}

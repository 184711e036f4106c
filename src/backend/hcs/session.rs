//! Steps in containers of Windows, as whoever builds images sees them.
//!
//! Each step has a thread, since every call to Windows blocks. The thread undoes whatever it has made, whatever
//! happens; nobody kills it. To end a step, its container is ended, which wakes the thread.

use std::{collections::BTreeSet, num::NonZero, sync::Arc, thread};

use futures::{FutureExt as _, future::BoxFuture};
use polyarch_actors::{BuildError, Platform, StepNeed};
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    api::HcsApi,
    failure::HcsFailure,
    logged::Logged,
    machine::{HcsOptions, Machine},
    network,
    run::{self, News},
    stop::{Reason, Stop},
    task::{Host, Reach, Task},
};
use crate::{
    oci::Store,
    session::{Ended, Output, Session, SessionError, SessionReport, Spent, Step, StepOutcome, Unusable},
};

/// How much of what a command writes waits for a slow reader, in pieces.
const NEWS: usize = 64;

/// Runs steps of Windows images. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HcsSession {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    api: Arc<dyn HcsApi>,
    store: Store,
    options: HcsOptions,
    machine: OnceCell<Arc<Machine>>,
}

/// Ends a step that nobody waits for any more.
struct EndsWithThis(Option<Arc<Stop>>);

impl Drop for EndsWithThis {
    fn drop(&mut self) {
        let Some(stop) = self.0.take() else { return };
        // It blocks. Without a thread for it, the step ends when its command does.
        let _ = thread::Builder::new().name("end".into()).spawn(move || stop.fire(Reason::Cancelled));
    }
}

impl HcsSession {
    /// A session whose layers are kept in the store. Calls nothing yet.
    pub fn new(api: Arc<dyn HcsApi>, store: Store, options: HcsOptions) -> Self {
        let api: Arc<dyn HcsApi> = Arc::new(Logged(api));
        Self { inner: Arc::new(Inner { api, store, options, machine: OnceCell::new() }) }
    }

    async fn machine(&self) -> Result<&Arc<Machine>, Unusable> {
        let open = || async {
            let Inner { api, store, options, .. } = &*self.inner;
            let (api, store, options) = (Arc::clone(api), store.clone(), options.clone());
            let opened = tokio::task::spawn_blocking(move || Machine::open(api, store, options)).await;
            let lost = |error: tokio::task::JoinError| Unusable {
                reason: format!("Windows could not be asked: {error}"),
                advice: String::new(),
            };
            Ok(Arc::new(opened.map_err(lost)??))
        };
        self.inner.machine.get_or_try_init(open).await
    }

    fn task(&self, machine: &Machine, step: &Step) -> Result<Task, SessionError> {
        let host = Host {
            version: machine.host,
            namespace: self.inner.options.namespace.as_deref(),
            cpus: thread::available_parallelism().map_or(1, NonZero::get) as u64,
        };
        Task::new(step, host).map_err(|error| self.told(error))
    }

    /// Whether there is a network to connect steps with.
    async fn network(&self, machine: &Arc<Machine>) -> Result<(), HcsFailure> {
        let api = Arc::clone(&machine.api);
        let found = tokio::task::spawn_blocking(move || network::find(&*api).map(drop)).await;
        found.unwrap_or_else(|error| Err(HcsFailure::io("ask for the networks")(error.into())))
    }

    fn told(&self, error: HcsFailure) -> SessionError {
        error.told(self.inner.store.root())
    }

    async fn carry_out(
        &self,
        step: Step,
        output: Output<'_>,
        cancel: &CancellationToken,
    ) -> Result<StepOutcome, SessionError> {
        if cancel.is_cancelled() {
            return Err(SessionError::Cancelled);
        }
        let machine = Arc::clone(self.machine().await?);
        let task = self.task(&machine, &step)?;
        let stop = Arc::new(Stop::default());
        let mut ends = EndsWithThis(Some(Arc::clone(&stop)));
        let (news, mut told) = mpsc::channel(NEWS);
        let (done, outcome) = oneshot::channel();
        let of_thread = Arc::clone(&stop);
        let work = move || {
            let _ = done.send(run::run(&machine, &task, &news, &of_thread));
        };
        thread::Builder::new()
            .name("step".into())
            .spawn(work)
            .map_err(|error| self.told(HcsFailure::io("start a thread")(error)))?;
        let (mut is_cancelled, mut too_long) = (false, None);
        let timeout = async |begun: Option<tokio::time::Instant>| match begun {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        };
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled(), if !is_cancelled => {
                    is_cancelled = true;
                    fire(&stop, Reason::Cancelled).await;
                }
                () = timeout(too_long) => {
                    too_long = None;
                    fire(&stop, Reason::TimedOut).await;
                }
                news = told.recv() => match news {
                    Some(News::Started) => {
                        too_long = step.timeout.map(|timeout| tokio::time::Instant::now() + timeout);
                    }
                    Some(News::Wrote(stream, bytes)) => output(stream, &bytes),
                    None => break,
                },
            }
        }
        let ended = outcome.await;
        ends.0 = None;
        let Ok(ended) = ended else {
            let reason = "the thread of a step panicked".to_owned();
            return Err(BuildError::Host { reason, retryable: true }.into());
        };
        // Whatever failed because the step was ended is no news.
        match (stop.check(), ended) {
            (Ok(()), Ok(outcome)) => Ok(outcome),
            (Err(HcsFailure::TimedOut), _) => Ok(StepOutcome {
                ended: Ended::TimedOut,
                layer: None,
                records: Vec::new(),
                spent: Spent::default(),
            }),
            (Ok(()), Err(error)) | (Err(error), _) => Err(self.told(error)),
        }
    }
}

/// Ends a step on a thread that may wait.
async fn fire(stop: &Arc<Stop>, reason: Reason) {
    let stop = Arc::clone(stop);
    let _ = tokio::task::spawn_blocking(move || stop.fire(reason)).await;
}

impl Session for HcsSession {
    fn probe(&self) -> BoxFuture<'_, Result<SessionReport, Unusable>> {
        async {
            let machine = self.machine().await?;
            // Which versions of the system it runs depends on the step.
            let native = Platform::host_linux();
            let native = format!("windows/{}", native.arch()).parse::<Platform>();
            let mut advice = Vec::new();
            if self.inner.options.namespace.is_none()
                && let Err(error) = self.network(machine).await
            {
                let todo = match &error {
                    HcsFailure::NoNetwork(reason) => format!("; {}", reason.advice()),
                    _ => String::new(),
                };
                advice.push(format!("RUN with a network is refused on Windows: {error}{todo}."));
            }
            Ok(SessionReport {
                manner: format!("containers of Windows {}", machine.host),
                native: native.into_iter().collect(),
                emulated: Vec::new(),
                gives: BTreeSet::from([
                    StepNeed::NoNetwork,
                    StepNeed::MemoryLimit,
                    StepNeed::CpuLimit,
                    StepNeed::ProcessIsolation,
                    StepNeed::HyperVIsolation,
                ]),
                advice,
            })
        }
        .boxed()
    }

    fn check<'a>(&'a self, step: &'a Step) -> BoxFuture<'a, Result<(), SessionError>> {
        async {
            let machine = self.machine().await?;
            match self.task(machine, step)?.reach {
                Reach::Nat => self.network(machine).await.map_err(|error| self.told(error)),
                Reach::Nothing | Reach::Namespace(_) => Ok(()),
            }
        }
        .boxed()
    }

    fn run<'a>(
        &'a self,
        step: Step,
        output: Output<'a>,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<StepOutcome, SessionError>> {
        self.carry_out(step, output, cancel).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            let Some(machine) = self.inner.machine.get().cloned() else { return };
            let _ = tokio::task::spawn_blocking(move || machine.close()).await;
        }
        .boxed()
    }
}

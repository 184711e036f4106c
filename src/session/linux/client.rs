//! The session, as whoever builds images sees it.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::{
    error::{Failure, SessionError, Unusable},
    outcome::{LayerRecord, StepOutcome, Stream},
    probe::{self, Snapshots},
    slot::{Slot, private},
    step::Step,
    trial::Trial,
    userns::{self, Maps},
    wire::{ANSWER, Answer, Done, NO_SPACE, RECORDS, Task, Work},
};
use crate::{
    archive::Limits,
    guard::{self, Guard, GuardError, Launch, Message},
    helper,
    oci::{
        Store,
        layer::{BlockTable, Compression, Layer},
    },
    session::{Output, Session, SessionReport},
};

/// How a session works.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// A program that calls [`init`](crate::init) first; this one if absent.
    pub helper: Option<PathBuf>,
    /// How snapshots are kept; what works best is found out by trying if absent.
    pub snapshots: Option<Snapshots>,
    /// How much one layer may hold.
    pub limits: Limits,
}

/// Runs steps. Cheap to clone; any number of steps may run at once.
#[derive(Clone, Debug)]
pub struct LinuxSession {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    folder: PathBuf,
    options: SessionOptions,
    /// What was found out about this machine.
    machine: tokio::sync::OnceCell<Machine>,
    /// What a helper found out by trying.
    tried: tokio::sync::OnceCell<Done>,
    /// Guards that wait for work.
    idle: Mutex<Vec<Seat>>,
}

/// What running steps needs of this machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    helper: PathBuf,
    /// The ids of the user namespace of an ordinary user.
    maps: Option<Maps>,
}

/// A guard, and the place where its steps work.
#[derive(Debug)]
struct Seat {
    guard: Guard,
    slot: Slot,
    /// Whether it is in a user namespace.
    userns: bool,
}

impl LinuxSession {
    /// A session whose snapshots and caches are kept in the store. Starts nothing yet.
    pub fn new(store: Store, options: SessionOptions) -> Self {
        let folder = store.root().join("backends/sandbox");
        let (machine, tried, idle) = Default::default();
        Self { inner: Arc::new(Inner { store, folder, options, machine, tried, idle }) }
    }

    /// Removes folders below the store with everything in them, whichever user of the session's namespace it belongs
    /// to. Nothing may be mounted there.
    ///
    /// # Errors
    /// [`SessionError`] when something cannot be removed; the rest may be gone then.
    pub async fn remove(&self, folders: Vec<PathBuf>) -> Result<(), SessionError> {
        let mut seat = self.seat(false).await?;
        let work = self.work(&seat, Snapshots::Overlay, Task::Remove(folders));
        seat.work(work, &mut |_, _| {}).await?;
        self.put_back(seat);
        Ok(())
    }

    async fn find_out(&self) -> Result<SessionReport, Unusable> {
        let rootless = self.machine().await?.maps.is_some();
        let advice =
            "Run the command again with POLYARCH_LOG=debug, and see whether this user may make namespaces.";
        let work = |error: SessionError| match error {
            SessionError::Unusable(unusable) => unusable,
            other => Unusable::new(other.to_string(), advice),
        };
        let mut done = self.tried().await.map_err(work)?.clone();
        if let Some(snapshots) = self.inner.options.snapshots {
            done.snapshots = snapshots;
        }
        Ok(probe::report(rootless, done))
    }

    async fn work_on(
        &self,
        step: Step,
        output: Output<'_>,
        cancel: &CancellationToken,
    ) -> Result<StepOutcome, SessionError> {
        if cancel.is_cancelled() {
            return Err(SessionError::Cancelled);
        }
        let begin = async {
            let snapshots = match self.inner.options.snapshots {
                Some(snapshots) => snapshots,
                None => self.tried().await?.snapshots,
            };
            Ok::<_, SessionError>((snapshots, self.seat(step.emulator.is_some()).await?))
        };
        let (snapshots, mut seat) = tokio::select! {
            begun = begin => begun?,
            () = cancel.cancelled() => return Err(SessionError::Cancelled),
        };
        let work = self.work(&seat, snapshots, Task::Run(Box::new(step)));
        let done = tokio::select! {
            done = seat.work(work, output) => Some(done),
            () = cancel.cancelled() => None,
        };
        let Some(done) = done else {
            seat.guard.end().await;
            return Err(SessionError::Cancelled);
        };
        // Whatever cannot be explained by the step ends its guard as well.
        let done = match done {
            Err(error @ SessionError::Step(_)) => {
                self.put_back(seat);
                return Err(error);
            }
            done => done?,
        };
        let outcome = outcome(&seat, done);
        self.put_back(seat);
        outcome
    }

    async fn tried(&self) -> Result<&Done, SessionError> {
        let attempt = async || {
            let trial = Trial::of(&self.inner.folder, &self.machine().await?.helper);
            if let Some(known) = trial.as_ref().and_then(Trial::recall) {
                return Ok(known);
            }
            let mut seat = self.seat(false).await?;
            let work = self.work(&seat, Snapshots::Overlay, Task::Probe);
            let done = seat.work(work, &mut |_, _| {}).await?;
            self.put_back(seat);
            if let Some(trial) = trial {
                trial.keep(&done);
            }
            Ok(done)
        };
        self.inner.tried.get_or_try_init(attempt).await
    }

    async fn machine(&self) -> Result<&Machine, Unusable> {
        self.inner.machine.get_or_try_init(async || self.find()).await
    }

    fn find(&self) -> Result<Machine, Unusable> {
        let helper = self.inner.options.helper.clone().or_else(helper::program).ok_or_else(|| {
            Unusable::new(
                "there is no helper program",
                "Call polyarch::init() first in main, or name a program that does with SessionOptions::helper.",
            )
        })?;
        let maps = if nix::unistd::geteuid().is_root() { None } else { Some(userns::maps()?) };
        private(&self.inner.folder).map_err(|error| {
            let folder = self.inner.folder.display();
            Unusable::new(format!("{folder} cannot be made: {error}"), format!("Make {folder} writable."))
        })?;
        Ok(Machine { helper, maps })
    }

    /// A guard that waits for work, or a new one. Only in a user namespace a step may have an emulator of its own.
    async fn seat(&self, emulator: bool) -> Result<Seat, SessionError> {
        let machine = self.machine().await?;
        let maps = machine.maps.clone().or_else(|| emulator.then(Maps::all));
        let userns = maps.is_some();
        {
            let mut idle = self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = idle.iter().rposition(|seat| seat.userns == userns) {
                return Ok(idle.swap_remove(at));
            }
        }
        let start = |error: io::Error| GuardError::Start(error.to_string());
        let slot = Slot::take(&self.inner.folder).map_err(start)?;
        let mut launch = Launch {
            helper: machine.helper.clone(),
            through: Vec::new(),
            env: Vec::new(),
            held: Some(slot.held().map_err(start)?),
            cleanup: slot.cleanup(),
            group: Some(slot.cgroup()),
        };
        if let Some(maps) = &maps {
            launch.through = maps.through(&machine.helper);
        }
        let mut guard = Guard::start(launch).await.map_err(|error| match &maps {
            Some(_) => userns::explain(error),
            None => error.into(),
        })?;
        if slot.is_dirty() {
            guard.clean().await?;
        }
        Ok(Seat { guard, slot, userns })
    }

    fn put_back(&self, seat: Seat) {
        self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).push(seat);
    }

    fn work(&self, seat: &Seat, snapshots: Snapshots, task: Task) -> Work {
        Work {
            store: self.inner.store.root().to_owned(),
            uses: self.inner.store.lease_list(),
            folder: self.inner.folder.clone(),
            scratch: seat.slot.scratch(),
            cgroup: seat.slot.cgroup(),
            snapshots,
            limits: self.inner.options.limits,
            userns: seat.userns,
            task,
        }
    }
}

impl Session for LinuxSession {
    fn probe(&self) -> BoxFuture<'_, Result<SessionReport, Unusable>> {
        self.find_out().boxed()
    }

    fn run<'a>(
        &'a self,
        step: Step,
        output: Output<'a>,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<StepOutcome, SessionError>> {
        self.work_on(step, output, cancel).boxed()
    }

    /// Ends all helper processes that wait for work.
    fn close(&self) -> BoxFuture<'_, ()> {
        let idle = std::mem::take(&mut *self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner));
        let end = async move {
            for seat in idle {
                seat.guard.end().await;
            }
        };
        end.boxed()
    }
}

impl Seat {
    /// Has a helper do something, and waits for its answer.
    async fn work(&mut self, work: Work, output: Output<'_>) -> Result<Done, SessionError> {
        let order = serde_json::to_string(&work).map_err(|error| GuardError::Run(error.to_string()))?;
        let more = matches!(&work.task, Task::Run(step) if step.another_follows);
        self.guard.work(guard::Work { order, more }).await?;
        let exit = loop {
            match self.guard.next().await? {
                Message::Stdout(bytes) => output(Stream::Stdout, &bytes),
                Message::Stderr(bytes) => output(Stream::Stderr, &bytes),
                Message::Exited(exit) => break exit,
            }
        };
        let path = self.slot.scratch().join(ANSWER);
        let answer = fs::read(&path).map(|bytes| serde_json::from_slice::<Answer>(&bytes));
        match (exit.code, answer) {
            (Some(0), Ok(Ok(answer))) => Ok(answer?),
            (Some(NO_SPACE), _) => {
                Err(Failure::system("answer")(io::Error::from(io::ErrorKind::StorageFull)).into())
            }
            (_, answer) => {
                let how = match (exit.code, exit.signal) {
                    (Some(code), _) => format!("it exited with {code}"),
                    (None, signal) => format!("it was killed by signal {}", signal.unwrap_or_default()),
                };
                tracing::debug!(?answer, how, "a helper gave no answer");
                Err(GuardError::Lost(how).into())
            }
        }
    }
}

/// What the helper left, for whoever asked for the step.
fn outcome(seat: &Seat, done: Done) -> Result<StepOutcome, SessionError> {
    let Some(layer) = done.layer else {
        return Ok(StepOutcome { ended: done.ended, layer: None, records: Vec::new(), spent: done.spent });
    };
    let path = seat.slot.scratch().join(RECORDS);
    let odd = |error: &dyn std::fmt::Display| Failure::Write(format!("{}: {error}", path.display()));
    let bytes = fs::read(&path).map_err(|error| odd(&error))?;
    let records: Vec<LayerRecord> = postcard::from_bytes(&bytes).map_err(|error| odd(&error))?;
    let layer = Layer {
        digest: layer.digest,
        size: layer.size,
        diff_id: layer.diff_id,
        media_type: Compression::default().media_type(),
        uncompressed_size: layer.uncompressed_size,
        blocks: BlockTable::default(),
    };
    Ok(StepOutcome { ended: done.ended, layer: Some(layer), records, spent: done.spent })
}

//! The queue as those have it who submit builds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use polyarch_actors::{
    BuildId, Digest,
    queue::{Place, Tenant},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    error::QueueError,
    options::QueueOptions,
    recovery::recovered,
    report::{BuildsLoad, BuildsReport},
    runner::{Note, Runner, Shared},
};
use crate::{
    Orchestrator, Receipt,
    queue::{
        BuildState, Counts, DataFolder, Key, Lane, RunLock,
        counts::StoreSize,
        log::{Follow, LogError, LogReader, Logs},
        records::{BuildRecord, CancelRequest, List, NewBuild, Page, Records, RecordsError, Submitted},
    },
    room::Room,
};

/// How often is looked how much disk is free.
const LOOK: Duration = Duration::from_secs(5);

/// Builds that wait, run and have ended, and survive whatever ends this process. Cheap to clone.
///
/// When the last clone goes, what runs is stopped, and begun again when the folder is opened the next time.
/// [`Self::close`] does the same with a grace.
#[derive(Clone)]
pub struct BuildQueue {
    inner: Arc<Inner>,
}

struct Inner {
    orchestrator: Orchestrator,
    records: Records,
    logs: Logs,
    options: std::sync::RwLock<QueueOptions>,
    room: Room<Tenant>,
    counts: Counts,
    size: StoreSize,
    notes: mpsc::UnboundedSender<Note>,
    ended: watch::Receiver<u64>,
    closing: watch::Sender<bool>,
    _lock: Arc<RunLock>,
}

impl BuildQueue {
    pub(crate) async fn open(
        orchestrator: Orchestrator,
        data: PathBuf,
        options: QueueOptions,
    ) -> Result<Self, QueueError> {
        let opened = tokio::task::spawn_blocking(move || {
            let folder = DataFolder::open(data)?;
            let lock = folder.lock()?;
            Ok::<_, QueueError>((folder, lock))
        });
        let (folder, lock) = opened.await.map_err(|_| QueueError::Closing)??;
        let lock = Arc::new(lock);
        let records = Records::open(folder.records()).await?;
        let logs = Logs::new(folder.logs(), options.log_bytes);
        let (notes, to_runner) = mpsc::unbounded_channel();
        let (ended, watched) = watch::channel(0);
        let (room, counts) = (Room::default(), Counts::default());
        let mut runner = Runner::new(Shared {
            orchestrator: orchestrator.clone(),
            records: records.clone(),
            logs: logs.clone(),
            counts: counts.clone(),
            options: options.clone(),
            ended,
        });
        for record in recovered(&records, &logs, &counts, &options).await? {
            let seat = room.take(&record.tenant, usize::MAX);
            runner.recorded(record, seat).await;
        }
        let root = orchestrator.store().root().to_owned();
        let free = free_at(root.clone(), &counts).await;
        let is_full = free.is_some_and(|free| free < options.min_free);
        runner.waiting.set_disk_is_full(is_full);
        orchestrator
            .set_limits(options.requests.clone(), options.weights())
            .await
            .map_err(|_| QueueError::Closing)?;
        let held = Arc::clone(&lock);
        let spawned = orchestrator.spawn(async move {
            let closed = runner.run(to_runner).await;
            // Nobody else runs these builds before this one has stopped.
            drop(held);
            for done in closed {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        });
        if spawned.is_none() {
            return Err(QueueError::Closing);
        }
        let disk = Disk { root, least: options.min_free, is_full, notes: notes.downgrade() };
        orchestrator.spawn(disk.watch(counts.clone()));
        let options = std::sync::RwLock::new(options);
        let closing = watch::Sender::new(false);
        let (ended, size) = (watched, StoreSize::default());
        let inner = Inner {
            orchestrator,
            records,
            logs,
            options,
            room,
            counts,
            size,
            notes,
            ended,
            closing,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Submits a build: when this returns it is on the disk, and will end whatever happens to this process.
    ///
    /// # Errors
    /// [`QueueError::Full`] where it would be a new build, [`QueueError::Closing`], [`QueueError::Refused`] where it may take
    /// more memory than all builds together, and [`QueueError::Records`] where the idempotency key is that of something else
    /// or where the build cannot be written down. Nothing was taken then.
    pub async fn submit(&self, new: NewBuild) -> Result<Submitted, QueueError> {
        let queue = self.clone();
        // Whoever asks may go away: what is recorded must come to the runner all the same.
        let submitted = tokio::spawn(async move { queue.take(new).await });
        submitted.await.map_err(|_| QueueError::Closing)?
    }

    async fn take(&self, new: NewBuild) -> Result<Submitted, QueueError> {
        let Inner { records, room, notes, closing, .. } = &*self.inner;
        if *closing.borrow() {
            return Err(QueueError::Closing);
        }
        let tenant = new.tenant.clone();
        let limit = self.with_options(|options| options.max_waiting(&tenant));
        let memory = new.spec.resources.memory;
        if let Some(refusal) = self.with_options(|options| options.refusal(options.memory_of(memory))) {
            return Err(refusal.into());
        }
        let (room, whose) = (room.clone(), tenant.clone());
        let taken = records.submit_if_room(new, move || room.take(&whose, limit)).await;
        let (submitted, seat) = match taken {
            Err(RecordsError::Full) => return Err(QueueError::Full { tenant, limit }),
            taken => taken?,
        };
        let record = Box::new(submitted.record.clone());
        let (superseded, to_cancel) = (submitted.superseded.clone(), submitted.to_cancel.clone());
        // It is found when the folder is opened again, if the runner has gone.
        let _ = notes.send(Note::Recorded { record, seat, superseded, to_cancel });
        Ok(submitted)
    }

    /// What is known of a build.
    ///
    /// # Errors
    /// [`QueueError::Records`], also where it is a build of another tenant.
    pub async fn get(&self, tenant: &Tenant, id: &BuildId) -> Result<BuildRecord, QueueError> {
        Ok(self.inner.records.get(tenant, id).await?)
    }

    /// The build that a request led to which came with this key ([`NewBuild::request`]), where it was the request of this
    /// hash.
    pub async fn replayed(
        &self,
        tenant: &Tenant,
        key: &Key,
        request: &Digest,
    ) -> Result<Option<BuildRecord>, QueueError> {
        Ok(self.inner.records.replayed(tenant, key, request).await?)
    }

    /// Some builds, the newest first.
    pub async fn list(&self, list: List) -> Result<Page, QueueError> {
        Ok(self.inner.records.list(list).await?)
    }

    /// The receipt of a build that has succeeded.
    pub async fn receipt(&self, tenant: &Tenant, id: &BuildId) -> Result<Option<Receipt>, QueueError> {
        Ok(self.inner.records.receipt(tenant, id).await?)
    }

    /// How far the platforms of a build are, as far as that is known before its Dockerfile is read.
    pub async fn lanes(&self, record: &BuildRecord) -> Vec<Lane> {
        let (reply, lanes) = oneshot::channel();
        if record.state == BuildState::Running {
            let _ = self.inner.notes.send(Note::Lanes(record.id.clone(), reply));
            if let Ok(Some(lanes)) = lanes.await {
                return lanes;
            }
        }
        if !record.lanes.is_empty() {
            return record.lanes.clone();
        }
        crate::queue::about::Lanes::waiting(&record.about.platforms).get().to_vec()
    }

    /// Asks for an early end of a build. [`Self::ended`] says when it has come.
    ///
    /// # Errors
    /// [`QueueError::Ended`] where it has ended before, and [`QueueError::Records`].
    pub async fn cancel(&self, tenant: &Tenant, id: &BuildId) -> Result<(), QueueError> {
        let Inner { records, notes, .. } = &*self.inner;
        let (records, notes) = (records.clone(), notes.clone());
        let (tenant, id) = (tenant.clone(), id.clone());
        let asked = tokio::spawn(async move {
            let asked = records.request_cancel(&tenant, &id).await?;
            let note = match asked {
                CancelRequest::Cancelled => Note::Ended(id),
                CancelRequest::Noted => Note::Cancel(id),
                CancelRequest::Ended(state) => return Err(QueueError::Ended(state)),
            };
            let _ = notes.send(note);
            Ok(())
        });
        asked.await.map_err(|_| QueueError::Closing)?
    }

    /// Waits for the end of a build: nothing of it is left then.
    pub async fn ended(&self, tenant: &Tenant, id: &BuildId) -> Result<BuildRecord, QueueError> {
        let mut ended = self.inner.ended.clone();
        loop {
            ended.borrow_and_update();
            let record = self.get(tenant, id).await?;
            if record.state.is_final() {
                return Ok(record);
            }
            ended.changed().await.map_err(|_| QueueError::Closing)?;
        }
    }

    /// The events of a build behind the one numbered `after`, until it ends.
    pub async fn follow(
        &self,
        tenant: &Tenant,
        id: &BuildId,
        after: Option<u64>,
    ) -> Result<LogReader, QueueError> {
        let follow = self.whether_to_follow(tenant, id).await?;
        Ok(self.inner.logs.reader(id, after, follow)?)
    }

    /// What the steps of a build printed, so far or until it ends.
    pub async fn text(
        &self,
        tenant: &Tenant,
        id: &BuildId,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Bytes, LogError>> + Send + use<>, QueueError> {
        let until_end = self.whether_to_follow(tenant, id).await?;
        let follow = if follow { until_end } else { Follow::No };
        Ok(self.inner.logs.text(id, follow)?)
    }

    /// Which builds wait and run, of one tenant or of all.
    ///
    /// # Errors
    /// [`QueueError::Closing`].
    pub async fn report(&self, tenant: Option<&Tenant>) -> Result<BuildsReport, QueueError> {
        let (reply, report) = oneshot::channel();
        let note = Note::Report(tenant.cloned(), reply);
        self.inner.notes.send(note).map_err(|_| QueueError::Closing)?;
        report.await.map_err(|_| QueueError::Closing)
    }

    /// How much waits and runs, in a few numbers.
    ///
    /// # Errors
    /// [`QueueError::Closing`].
    pub async fn load(&self) -> Result<BuildsLoad, QueueError> {
        let (reply, load) = oneshot::channel();
        self.inner.notes.send(Note::Load(reply)).map_err(|_| QueueError::Closing)?;
        load.await.map_err(|_| QueueError::Closing)
    }

    /// The place of a build that waits, as of about a second ago; nothing where it does not wait.
    pub async fn place(&self, id: &BuildId) -> Option<Place> {
        let (reply, place) = oneshot::channel();
        self.inner.notes.send(Note::Place(id.clone(), reply)).ok()?;
        place.await.ok().flatten()
    }

    /// The builds that wait or run, in the order of their submission.
    pub async fn unfinished(&self) -> Result<Vec<BuildRecord>, QueueError> {
        Ok(self.inner.records.unfinished().await?)
    }

    /// Whether no builds are taken any more.
    pub fn is_closing(&self) -> bool {
        *self.inner.closing.borrow()
    }

    /// Other limits and shares count from now on. What runs goes on.
    ///
    /// # Errors
    /// [`QueueError::Closing`].
    pub async fn set_options(&self, options: QueueOptions) -> Result<(), QueueError> {
        let (requests, weights) = (options.requests.clone(), options.weights());
        self.inner.orchestrator.set_limits(requests, weights).await.map_err(|_| QueueError::Closing)?;
        let _ = self.inner.notes.send(Note::Options(Box::new(options.clone())));
        let mut known = self.inner.options.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *known = options;
        Ok(())
    }

    /// The orchestrator that builds.
    pub fn orchestrator(&self) -> &Orchestrator {
        &self.inner.orchestrator
    }

    /// Takes no more builds and begins none, waits `grace` for those that run, stops the rest, and returns when nothing
    /// runs any more. What waits and what was stopped goes on when the folder is opened again.
    pub async fn close(&self, grace: Duration) {
        self.inner.closing.send_replace(true);
        let (done, closed) = oneshot::channel();
        if self.inner.notes.send(Note::Close { grace, done }).is_ok() {
            // An error means that the runner has gone, which is what was asked for.
            let _ = closed.await;
        }
    }

    /// What is counted of the builds since this was opened, and how large the store was when it was measured.
    pub fn counts(&self) -> Counts {
        self.inner.counts.clone()
    }

    /// Begins to measure how large the store is, unless that was done in the last minutes. Nobody waits for it.
    pub fn measure_store(&self) {
        let Inner { orchestrator, counts, size, .. } = &*self.inner;
        size.refresh(orchestrator, counts);
    }

    async fn whether_to_follow(&self, tenant: &Tenant, id: &BuildId) -> Result<Follow, QueueError> {
        let has_ended = self.get(tenant, id).await?.state.is_final();
        Ok(if has_ended && self.inner.records.is_told(id).await? { Follow::No } else { Follow::UntilEnd })
    }

    fn with_options<T>(&self, read: impl FnOnce(&QueueOptions) -> T) -> T {
        read(&self.inner.options.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// Tells the runner when there is too little disk, and when there is enough again.
struct Disk {
    root: PathBuf,
    least: u64,
    is_full: bool,
    notes: mpsc::WeakUnboundedSender<Note>,
}

impl Disk {
    /// For as long as the runner goes on.
    async fn watch(mut self, counts: Counts) {
        loop {
            tokio::time::sleep(LOOK).await;
            // What cannot be found out keeps nobody waiting.
            let is_full = free_at(self.root.clone(), &counts).await.is_some_and(|free| free < self.least);
            let Some(notes) = self.notes.upgrade() else { return };
            if is_full != self.is_full && notes.send(Note::Disk(is_full)).is_err() {
                return;
            }
            self.is_full = is_full;
        }
    }
}

/// How much is free where the store is, in bytes, if that can be found out.
async fn free_at(root: PathBuf, counts: &Counts) -> Option<u64> {
    let free = tokio::task::spawn_blocking(move || fs4::available_space(root)).await.ok()?.ok()?;
    counts.free(free);
    Some(free)
}

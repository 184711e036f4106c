//! The queue as those have it who submit builds.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use polyarch_actors::{
    BuildId, Digest,
    queue::{Place, Tenant},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    error::QueueError,
    notes::Note,
    options::QueueOptions,
    report::{BuildsLoad, BuildsReport},
};
use crate::{
    Orchestrator, Receipt,
    queue::{
        BuildState, Counts, Key, Lane, RunLock,
        counts::StoreSize,
        log::{Follow, LogError, LogReader, Logs},
        records::{BuildRecord, CancelRequest, List, NewBuild, Page, Records, RecordsError, Submitted},
    },
    room::Room,
};

/// Builds that wait, run and have ended, and survive whatever ends this process. Cheap to clone.
///
/// When the last clone goes, what runs is stopped, and begun again when the folder is opened the next time.
/// [`Self::close`] does the same with a grace.
#[derive(Clone)]
pub struct BuildQueue {
    pub(super) inner: Arc<Inner>,
}

/// What the clones share.
pub(super) struct Inner {
    pub(super) orchestrator: Orchestrator,
    pub(super) records: Records,
    pub(super) logs: Logs,
    pub(super) options: std::sync::RwLock<QueueOptions>,
    pub(super) room: Room<Tenant>,
    pub(super) counts: Counts,
    pub(super) size: StoreSize,
    pub(super) notes: mpsc::UnboundedSender<Note>,
    pub(super) ended: watch::Receiver<u64>,
    pub(super) closing: watch::Sender<bool>,
    pub(super) _lock: Arc<RunLock>,
}

impl BuildQueue {
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

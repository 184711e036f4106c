//! Records for asynchronous callers.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

use polyarch_actors::{BuildId, Digest, Timestamp, queue::Tenant};
use rusqlite::Connection;

use super::{
    change::{self, CancelRequest, End, Requeued},
    error::RecordsError,
    pool::RecordsReader,
    read::{self, List, Page},
    row::BuildRecord,
    schema,
    submission::{NewBuild, Prepared, Submitted},
    submit,
    writer::Writer,
};
use crate::{
    BuildSpec, Receipt,
    queue::{EndedBuild, Key, Lane},
};

/// Reads and changes records. Cheap to clone; what was changed is on the disk when a call returns, and all that was
/// asked for is when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Records {
    reader: RecordsReader,
    writer: Arc<Writer>,
}

impl Records {
    /// Opens the database, and makes it where it is missing, for this user alone.
    ///
    /// # Errors
    /// [`RecordsError::Unusable`], [`RecordsError::NotADatabase`] and [`RecordsError::Newer`], besides those of any
    /// change.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, RecordsError> {
        let path = path.into();
        let opened = tokio::task::spawn_blocking(move || Self::open_at(&path));
        opened.await.map_err(|error| RecordsError::Failed { reason: error.to_string() })?
    }

    fn open_at(path: &Path) -> Result<Self, RecordsError> {
        Self::with(schema::open_to_write(path)?, path)
    }

    pub(super) fn with(connection: Connection, path: &Path) -> Result<Self, RecordsError> {
        let writer = Writer::start(connection)?;
        Ok(Self { reader: RecordsReader::of(path.to_owned()), writer: Arc::new(writer) })
    }

    /// Submits a build: it is recorded and waits, or a build that is recorded already serves it too.
    ///
    /// # Errors
    /// [`RecordsError::KeyReused`] where the tenant has given its key to a build of something else, and
    /// [`RecordsError::Spec`] where it cannot be written down.
    pub async fn submit(&self, new: NewBuild) -> Result<Submitted, RecordsError> {
        Ok(self.submit_if_room(new, || Some(())).await?.0)
    }

    /// As [`Self::submit`], where a build that is new needs a seat, which is returned with it. What is served by a build
    /// that is recorded already needs none.
    ///
    /// # Errors
    /// [`RecordsError::Full`] besides, where there is no seat.
    pub(crate) async fn submit_if_room<S: Send + 'static>(
        &self,
        new: NewBuild,
        seat: impl FnOnce() -> Option<S> + Send + 'static,
    ) -> Result<(Submitted, Option<S>), RecordsError> {
        let prepared = Prepared::new(new)?;
        self.writer.change(move |connection| submit::submit(connection, &prepared, seat)).await
    }

    /// Begins the next attempt of a build that waits; false if it does not wait any more.
    pub async fn begin(&self, id: &BuildId) -> Result<bool, RecordsError> {
        let (id, now) = (id.clone(), Timestamp::now());
        self.writer.change(move |connection| change::begin(connection, &id, now)).await
    }

    /// Ends a build, whose platforms are as far as `lanes` say; true for exactly one of all who try.
    pub async fn end(&self, id: &BuildId, end: End, lanes: Vec<Lane>) -> Result<bool, RecordsError> {
        let (id, now) = (id.clone(), Timestamp::now());
        self.writer.change(move |connection| change::end(connection, &id, &end, &lanes, now)).await
    }

    /// Has a build wait again that was stopped so that it can go on later; or ends it, where it is not wanted any more.
    pub async fn requeue(&self, id: &BuildId) -> Result<Requeued, RecordsError> {
        let (id, now) = (id.clone(), Timestamp::now());
        self.writer.change(move |connection| change::requeue(connection, &id, 0, now)).await
    }

    /// As [`Self::requeue`], for a build whose process went away, which is counted.
    pub async fn recover(&self, id: &BuildId) -> Result<Requeued, RecordsError> {
        let (id, now) = (id.clone(), Timestamp::now());
        self.writer.change(move |connection| change::requeue(connection, &id, 1, now)).await
    }

    /// Cancels a build that waits, and notes the wish for one that runs.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] also where it is a build of another tenant.
    pub async fn request_cancel(&self, tenant: &Tenant, id: &BuildId) -> Result<CancelRequest, RecordsError> {
        let (tenant, id, now) = (tenant.clone(), id.clone(), Timestamp::now());
        self.writer.change(move |connection| change::request_cancel(connection, &tenant, &id, now)).await
    }

    /// Removes the records of those of these builds that have ended, with their keys, and returns which those were.
    pub async fn forget(&self, ids: Vec<BuildId>) -> Result<Vec<BuildId>, RecordsError> {
        self.writer.change(move |connection| change::forget(connection, &ids)).await
    }

    /// Notes that the logs of these builds have their ends: they are no longer among [`RecordsReader::untold`].
    pub async fn told(&self, ids: Vec<BuildId>) -> Result<(), RecordsError> {
        self.writer.change(move |connection| change::told(connection, &ids)).await
    }
}

impl Deref for Records {
    type Target = RecordsReader;

    fn deref(&self) -> &RecordsReader {
        &self.reader
    }
}

impl RecordsReader {
    /// The record of a build.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] also where it is a build of another tenant.
    pub async fn get(&self, tenant: &Tenant, id: &BuildId) -> Result<BuildRecord, RecordsError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |connection| read::get(connection, &tenant, &id)).await
    }

    /// The build that a request led to which came with this key, where it was the request of this hash.
    pub async fn replayed(
        &self,
        tenant: &Tenant,
        key: &Key,
        request: &Digest,
    ) -> Result<Option<BuildRecord>, RecordsError> {
        let (tenant, key, request) = (tenant.clone(), key.clone(), request.clone());
        self.read(move |connection| read::replayed(connection, &tenant, &key, &request)).await
    }

    /// What is to be built.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`] as above, and [`RecordsError::Malformed`] where another version wrote it.
    pub async fn spec(&self, tenant: &Tenant, id: &BuildId) -> Result<BuildSpec, RecordsError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |connection| read::spec(connection, &tenant, &id)).await
    }

    /// What was done; absent where the build has not succeeded.
    ///
    /// # Errors
    /// As of [`Self::spec`].
    pub async fn receipt(&self, tenant: &Tenant, id: &BuildId) -> Result<Option<Receipt>, RecordsError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |connection| read::receipt(connection, &tenant, &id)).await
    }

    /// The builds that wait or run, in the order of their submission.
    pub async fn unfinished(&self) -> Result<Vec<BuildRecord>, RecordsError> {
        self.read(read::unfinished).await
    }

    /// The builds that have ended and whose logs may not say so yet, in the order of their submission.
    pub async fn untold(&self) -> Result<Vec<BuildRecord>, RecordsError> {
        self.read(read::untold).await
    }

    /// Whether the log of a build that has ended says so.
    pub async fn is_told(&self, id: &BuildId) -> Result<bool, RecordsError> {
        let id = id.clone();
        self.read(move |connection| read::is_told(connection, &id)).await
    }

    /// Some records, the newest first.
    pub async fn list(&self, list: List) -> Result<Page, RecordsError> {
        self.read(move |connection| read::list(connection, &list)).await
    }

    /// The builds that have ended, the oldest end first. The sizes of their logs are not known here.
    pub async fn ended(&self) -> Result<Vec<EndedBuild>, RecordsError> {
        self.read(read::ended).await
    }

    /// Which of these builds there are no records of.
    pub(crate) async fn unknown(&self, ids: Vec<BuildId>) -> Result<Vec<BuildId>, RecordsError> {
        self.read(move |connection| read::unknown(connection, ids)).await
    }
}

//! The logs of all builds: a folder.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use futures::Stream;
use polyarch_actors::BuildId;

use super::{
    error::LogError,
    live::Live,
    reader::{Follow, LogReader},
    text,
    writer::LogWriter,
};
use crate::queue::build_name::{build_id, is_generated};

/// How large a log may become before output of steps is left out, in bytes, where nothing else is said.
pub const LARGEST_LOG: u64 = 64 << 20;
/// What the names of logs end with.
const ENDING: &str = ".jsonl";

/// The logs of a folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limit: u64,
    /// Whether another process writes them, and nobody here is told.
    elsewhere: bool,
    live: Mutex<HashMap<BuildId, Weak<Live>>>,
}

impl Logs {
    /// The logs that this process writes, of at most `limit` bytes each, apart from what is no output of steps.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        Self::of(folder.into(), limit, false)
    }

    /// The logs that another process writes. Whoever follows one looks at its file several times a second.
    pub fn of_another_process(folder: impl Into<PathBuf>) -> Self {
        Self::of(folder.into(), LARGEST_LOG, true)
    }

    fn of(folder: PathBuf, limit: u64, elsewhere: bool) -> Self {
        Self { shared: Arc::new(Shared { folder, limit, elsewhere, live: Mutex::default() }) }
    }

    /// Opens the log of a build to write it, behind what it holds.
    ///
    /// # Errors
    /// [`LogError::InUse`] while it is written, [`LogError::Ended`] where it has its end, [`LogError::NoName`],
    /// [`LogError::NoSpace`] and [`LogError::Io`].
    pub async fn writer(&self, id: &BuildId) -> Result<LogWriter, LogError> {
        let (live, limit) = (self.live(id)?, self.shared.limit);
        let path = live.path.clone();
        let opened = tokio::task::spawn_blocking(move || LogWriter::open(live, limit)).await;
        opened.map_err(|error| LogError::io(&path, io::Error::other(error)))?
    }

    /// Reads the log of a build from the event behind `after` on, or from the first one. It may have none yet.
    ///
    /// # Errors
    /// [`LogError::NoName`].
    pub fn reader(&self, id: &BuildId, after: Option<u64>, follow: Follow) -> Result<LogReader, LogError> {
        Ok(LogReader::new(self.live(id)?, after, follow, self.shared.elsewhere))
    }

    /// What the steps of a build printed, with the platform and the number of its step before each line, and what went
    /// wrong. The bytes of steps are passed on as they are.
    ///
    /// # Errors
    /// [`LogError::NoName`].
    pub fn text(
        &self,
        id: &BuildId,
        follow: Follow,
    ) -> Result<impl Stream<Item = Result<Bytes, LogError>> + Send + use<>, LogError> {
        Ok(text::text(self.reader(id, None, follow)?))
    }

    /// The builds that have logs, and how large those are.
    pub async fn sizes(&self) -> Result<BTreeMap<BuildId, u64>, LogError> {
        self.work(|shared| {
            let mut sizes = BTreeMap::new();
            for entry in fs::read_dir(&shared.folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let id = name.to_str().and_then(|name| name.strip_suffix(ENDING));
                if let Some(id) = id.filter(|id| is_generated(id)) {
                    match entry.metadata() {
                        Ok(found) => sizes.insert(build_id(id), found.len()),
                        // It was removed meanwhile.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                        Err(error) => return Err(error),
                    };
                }
            }
            Ok(sizes)
        })
        .await
    }

    /// Removes a log, if there is one. Whoever reads it already may read on.
    pub async fn remove(&self, id: &BuildId) -> Result<(), LogError> {
        let (id, path) = (id.clone(), self.path(id)?);
        self.work(move |shared| {
            shared.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        })
        .await
    }

    fn path(&self, id: &BuildId) -> Result<PathBuf, LogError> {
        if !is_generated(id.as_str()) {
            return Err(LogError::NoName { id: id.clone() });
        }
        Ok(self.shared.folder.join(format!("{id}{ENDING}")))
    }

    /// What all who write or read a log share.
    fn live(&self, id: &BuildId) -> Result<Arc<Live>, LogError> {
        let path = self.path(id)?;
        let mut live = self.shared.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = live.get(id).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        live.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Live::new(id.clone(), path));
        live.insert(id.clone(), Arc::downgrade(&shared));
        Ok(shared)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(io::Error::other).flatten().map_err(|error| LogError::io(&self.shared.folder, error))
    }
}

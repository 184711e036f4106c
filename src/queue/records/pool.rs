//! Connections that read, each used by one reader at a time.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{error::RecordsError, schema};

/// The most that read at once; further ones wait.
const MOST_READERS: usize = 4;

/// Reads records, of this process and others. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RecordsReader {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl RecordsReader {
    /// Opens the database of another process to read it.
    ///
    /// # Errors
    /// [`RecordsError::Unusable`] where there is none, [`RecordsError::NotADatabase`] and [`RecordsError::Newer`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, RecordsError> {
        let reader = Self::of(path.into());
        reader.read(|_| Ok(())).await?;
        Ok(reader)
    }

    /// Reads a database that is known to be there.
    pub(super) fn of(path: PathBuf) -> Self {
        let turns = Arc::new(Semaphore::new(MOST_READERS));
        Self { shared: Arc::new(Shared { path, idle: Mutex::default(), turns }) }
    }

    /// Reads off the threads of the runtime, with a connection of its own.
    pub(super) async fn read<T, R>(&self, read: R) -> Result<T, RecordsError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> Result<T, RecordsError> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let turn = Arc::clone(&shared.turns).acquire_owned().await.map_err(|_| RecordsError::Closed)?;
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let idle = || shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = idle().pop();
            let connection = match kept {
                Some(connection) => connection,
                None => schema::open_to_read(&shared.path)?,
            };
            let found = read(&connection);
            idle().push(connection);
            found
        });
        work.await.map_err(|error| RecordsError::Failed { reason: error.to_string() })?
    }
}

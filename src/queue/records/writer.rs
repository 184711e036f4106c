//! The one thread that writes, in groups.
//!
//! While one group is being synced to the disk, the next one gathers: many submissions cost one sync.

use std::{sync::Mutex, thread::JoinHandle};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::error::RecordsError;

/// The most changes that wait for the thread; whoever has a further one waits to hand it over.
const MOST_WAITING: usize = 1024;
/// The most changes in one transaction.
const LARGEST_GROUP: usize = 256;

/// Hands changes to the thread. The thread ends with it, after all changes that it was given.
#[derive(Debug)]
pub(super) struct Writer {
    /// Absent once the thread is to end.
    changes: Option<mpsc::Sender<Box<dyn Change>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One change and who waits for its result.
trait Change: Send {
    /// Makes the change in the transaction that is open.
    fn make(&mut self, connection: &Connection) -> Result<(), RecordsError>;
    /// Tells who waits: the result, or why the transaction of the group failed.
    fn tell(self: Box<Self>, group: Result<(), RecordsError>);
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection) -> Result<Self, RecordsError> {
        let (changes, waiting) = mpsc::channel(MOST_WAITING);
        let thread = std::thread::Builder::new()
            .name("polyarch-records".into())
            .spawn(move || write(connection, waiting))
            .map_err(|error| RecordsError::Failed { reason: error.to_string() })?;
        Ok(Self { changes: Some(changes), thread: Mutex::new(Some(thread)) })
    }

    /// Makes a change in a transaction and returns its result once that is on the disk.
    ///
    /// An error of `make` undoes what it did. A caller who goes away stops nothing.
    pub(super) async fn change<T, M>(&self, make: M) -> Result<T, RecordsError>
    where
        T: Send + 'static,
        M: FnOnce(&Connection) -> Result<T, RecordsError> + Send + 'static,
    {
        let (waits, result) = oneshot::channel();
        let asked = Asked { make: Some(make), made: Err(RecordsError::Closed), waits };
        let changes = self.changes.as_ref().ok_or(RecordsError::Closed)?;
        changes.send(Box::new(asked)).await.map_err(|_| RecordsError::Closed)?;
        result.await.map_err(|_| RecordsError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.changes = None;
        let thread = self.thread.get_mut().map_or(None, Option::take);
        // What it was given is on the disk when this returns.
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct Asked<T, M> {
    make: Option<M>,
    made: Result<T, RecordsError>,
    waits: oneshot::Sender<Result<T, RecordsError>>,
}

impl<T, M> Change for Asked<T, M>
where
    T: Send,
    M: FnOnce(&Connection) -> Result<T, RecordsError> + Send,
{
    fn make(&mut self, connection: &Connection) -> Result<(), RecordsError> {
        if let Some(make) = self.make.take() {
            self.made = make(connection);
        }
        self.made.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn tell(self: Box<Self>, group: Result<(), RecordsError>) {
        // What a change found in a transaction that failed may not be so. Nobody may be waiting any more.
        let _ = self.waits.send(group.and(self.made));
    }
}

fn write(mut connection: Connection, mut waiting: mpsc::Receiver<Box<dyn Change>>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while group.len() < LARGEST_GROUP
            && let Ok(next) = waiting.try_recv()
        {
            group.push(next);
        }
        let made = commit(&mut connection, &mut group);
        for change in group {
            change.tell(made.clone());
        }
    }
}

/// Makes all changes in one transaction. A change that fails undoes what it did itself.
fn commit(connection: &mut Connection, group: &mut [Box<dyn Change>]) -> Result<(), RecordsError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in group {
        transaction.execute_batch("SAVEPOINT change")?;
        match change.make(&transaction) {
            Ok(()) => transaction.execute_batch("RELEASE change")?,
            // SQLite undoes all of it where it cannot go on, as on a full disk.
            Err(error) if transaction.is_autocommit() => return Err(error),
            Err(_) => transaction.execute_batch("ROLLBACK TO change; RELEASE change")?,
        }
    }
    Ok(transaction.commit()?)
}

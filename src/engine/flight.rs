//! One step at a time for each key, in this process and across processes.
//!
//! When several builds need the same step at once, the first does it and the others take its result, failure
//! included. Should the first be cancelled, the next does the step itself.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
    time::Duration,
};

use dashmap::DashMap;
use polyarch_actors::{BuildError, CachePolicy, Digest};
use same_file::Handle;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    error::{EngineError, blocking},
    key::Key,
    meter::{Meter, Part},
    records::{Record, Records},
};
use crate::held;

/// Where the locks are, in the store.
const FOLDER: &str = "backends/sandbox/flights";
/// How often it is asked whether another process is done.
const POLL: Duration = Duration::from_millis(25);

/// The steps that are being done in this process.
#[derive(Debug, Default)]
pub(super) struct Flights {
    open: DashMap<Digest, Arc<Slot>>,
}

/// The result, once there is one, for those who wait.
type Slot = Mutex<Option<Result<Record, BuildError>>>;

/// How a result came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It was done now, by this build.
    Done,
    /// It was there, or another build did it meanwhile.
    Cached,
}

/// Whom a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failures {
    /// Everybody who wants the same.
    Shared,
    /// Whoever did the work: others may go about it in another way.
    Own,
}

impl Flights {
    /// What `key` leads to: from the records, or from `work`, which nobody else does at the same time. It is noted.
    pub(super) async fn once(
        &self,
        key: &Digest,
        records: &Records,
        cancel: &CancellationToken,
        meter: &Meter,
        failures: Failures,
        work: impl Future<Output = Result<Record, BuildError>>,
    ) -> Result<(Record, How), EngineError> {
        meter.key(key);
        let (record, how) = self.find(key, records, cancel, meter, failures, work).await?;
        records.note(key, &record);
        Ok((record, how))
    }

    /// Waits until nobody else, in this process or another, has the turn of `key`, and takes it.
    pub(super) async fn turn(
        key: &Digest,
        records: &Records,
        cancel: &CancellationToken,
        meter: &Meter,
    ) -> Result<Lock, EngineError> {
        meter.key(key);
        lock(records, &slot(key, records), cancel, meter).await
    }

    async fn find(
        &self,
        key: &Digest,
        records: &Records,
        cancel: &CancellationToken,
        meter: &Meter,
        failures: Failures,
        work: impl Future<Output = Result<Record, BuildError>>,
    ) -> Result<(Record, How), EngineError> {
        if let Some(record) = recall(records, key).await? {
            return Ok((record, How::Cached));
        }
        let slot = slot(key, records);
        let flight =
            Flight { flights: self, slot: self.open.entry(slot.clone()).or_default().clone(), key: slot };
        let mut turn = if let Ok(turn) = flight.slot.try_lock() {
            turn
        } else {
            meter.join();
            let queue = async {
                tokio::select! {
                    turn = flight.slot.lock() => Ok(turn),
                    () = cancel.cancelled() => Err(EngineError::Cancelled),
                }
            };
            meter.time(Part::Waiting, queue).await?
        };
        if let Some(shared) = &*turn {
            meter.join();
            let shared = shared.clone()?;
            records.hold(&shared);
            return Ok((shared, How::Cached));
        }
        let _lock = lock(records, &flight.key, cancel, meter).await?;
        if let Some(record) = recall(records, key).await? {
            *turn = Some(Ok(record.clone()));
            return Ok((record, How::Cached));
        }
        let result = work.await;
        if let Ok(record) = &result {
            let (records, key, record) = (records.clone(), key.clone(), record.clone());
            blocking(move || Ok(records.remember(&key, &record)?)).await?;
        }
        let own = match &result {
            Err(BuildError::Cancelled) => true,
            Err(_) => failures == Failures::Own,
            Ok(_) => false,
        };
        if !own {
            *turn = Some(result.clone());
        }
        Ok((result?, How::Done))
    }
}

/// Who ignores what others have made shares with the platforms of its own build only.
fn slot(key: &Digest, records: &Records) -> Digest {
    match records.policy {
        CachePolicy::Use => key.clone(),
        CachePolicy::Ignore => Key::new("flight").field(key.as_str()).field(records.build.as_str()).end(),
    }
}

/// A place in the queue for a slot, which goes with the last that has one.
struct Flight<'f> {
    flights: &'f Flights,
    key: Digest,
    slot: Arc<Slot>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // One is held by the map and one here.
        self.flights.open.remove_if(&self.key, |_, slot| Arc::strong_count(slot) <= 2);
    }
}

async fn recall(records: &Records, key: &Digest) -> Result<Option<Record>, EngineError> {
    let (records, key) = (records.clone(), key.clone());
    blocking(move || Ok(records.recall(&key))).await
}

/// Waits until no other process does the step. The lock goes with this process.
async fn lock(
    records: &Records,
    key: &Digest,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Lock, EngineError> {
    let folder = records.store.root().join(FOLDER);
    let path = folder.join(key.hex());
    loop {
        let (folder, path) = (folder.clone(), path.clone());
        if let Some(lock) = blocking(move || try_lock(&folder, &path)).await? {
            return Ok(lock);
        }
        meter.join();
        let rest = async {
            tokio::select! {
                () = tokio::time::sleep(POLL) => Ok(()),
                () = cancel.cancelled() => Err(EngineError::Cancelled),
            }
        };
        meter.time(Part::Waiting, rest).await?;
    }
}

/// A locked file, which is removed before it is unlocked. Nobody else has the turn while it is there.
pub(super) struct Lock {
    path: std::path::PathBuf,
    _lock: held::Lock,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn try_lock(folder: &Path, path: &Path) -> Result<Option<Lock>, EngineError> {
    let io = || EngineError::io(format!("lock {}", path.display()));
    let open = || File::options().create(true).truncate(false).write(true).open(path);
    let file = match open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(io())?;
            open()
        }
        opened => opened,
    };
    let file = file.map_err(io())?;
    let Some(lock) = held::Lock::attempt(file).map_err(io())? else { return Ok(None) };
    // Who had it before has removed it; only the file that has the name counts.
    let ours = Handle::from_file(lock.try_clone().map_err(io())?).map_err(io())?;
    let is_ours = Handle::from_path(path).is_ok_and(|there| there == ours);
    Ok(is_ours.then(|| Lock { path: path.to_owned(), _lock: lock }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use polyarch_actors::BuildId;

    use super::*;
    use crate::{engine::imports::Imports, oci::Store};

    /// How many of two builds that want the same do the work, which fails.
    async fn attempts(failures: Failures) -> u32 {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let flights = Flights::default();
        let key = Key::new("test").end();
        let (cancel, done) = (CancellationToken::new(), AtomicU32::new(0));
        let build = async || {
            let imports = Arc::new(Imports::default());
            let records = Records::new(store.clone(), CachePolicy::Use, BuildId::generate(), imports);
            let work = async {
                done.fetch_add(1, Ordering::Relaxed);
                // The other one joins meanwhile.
                tokio::time::sleep(Duration::from_millis(200)).await;
                Err(BuildError::ShuttingDown)
            };
            let meter = Meter::default();
            flights.once(&key, &records, &cancel, &meter, failures, work).await.expect_err("it fails");
        };
        tokio::join!(build(), build());
        done.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_failure_is_shared_unless_others_may_go_about_it_in_another_way() {
        assert_eq!(attempts(Failures::Shared).await, 1);
        assert_eq!(attempts(Failures::Own).await, 2);
    }
}

//! Leases: what keeps the blobs that a running build uses.
//!
//! While a process has a lease, every blob that it looks for, reads or writes is noted in a list in its folder for
//! temporary files. It is noted before anybody looks whether it is there, and under a shared lock on `STORE/gc.lock`;
//! whoever removes blobs holds that lock alone, reads every list, and spares what is on one. So a blob that a build
//! has seen stays until the build ends, and one that is removed was never seen: to a build it is as if it had never
//! been there. Nobody waits for a build, and a killed process leaves nothing behind but a list that goes with its
//! folder.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use polyarch_actors::Digest;

use super::{
    error::{StoreError, at},
    store::Store,
};
use crate::held::Lock;

/// The list in a process's folder.
const LIST: &str = "uses";
/// The lock of the lists, in the store.
const GATE: &str = "gc.lock";
/// How long it is tried to get the lists to oneself; every other holder has the lock for microseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often.
const PAUSE: Duration = Duration::from_millis(2);

/// Keeps what is used meanwhile. What was noted is forgotten when the last lease of a process is dropped.
#[derive(Debug)]
pub struct Lease {
    store: Store,
}

impl Store {
    /// Keeps every blob that this process looks for, reads or writes from now on, in whatever thread and in the helper
    /// processes of steps too, until it has no lease any more.
    ///
    /// Whoever builds, fetches or publishes takes one before the first look at the store, and drops it when names
    /// point at what was made.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the list cannot be made.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        self.pins().begin()?;
        Ok(Lease { store: self.clone() })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.store.pins().end();
    }
}

/// The list of this process.
#[derive(Debug)]
pub(super) struct Pins {
    gate: PathBuf,
    list: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    leases: usize,
    noted: HashSet<Digest>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    gate: File,
    list: File,
    /// Whether the gate stays shut, because the list cannot grow.
    shut: bool,
}

impl Pins {
    /// Those of a process whose temporary files are in `scratch`.
    pub(super) fn new(root: &Path, scratch: &Path) -> Self {
        Self { gate: root.join(GATE), list: scratch.join(LIST), state: Mutex::default() }
    }

    /// Those of a helper, which adds to the list of another process.
    #[cfg(target_os = "linux")]
    pub(super) fn of_helper(root: &Path, list: Option<PathBuf>) -> Result<Self, StoreError> {
        let leased = list.is_some();
        let pins = Self { gate: root.join(GATE), list: list.unwrap_or_default(), state: Mutex::default() };
        if leased {
            pins.begin()?;
        }
        Ok(pins)
    }

    /// Where the list is, if there is a lease.
    #[cfg(target_os = "linux")]
    pub(super) fn list(&self) -> Option<PathBuf> {
        (self.state().leases > 0).then(|| self.list.clone())
    }

    fn begin(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.open.is_none() {
            let gate = open_gate(&self.gate)?;
            let list = File::options().create(true).append(true).open(&self.list);
            let list = list.map_err(at("open", &self.list))?;
            state.open = Some(Open { gate, list, shut: false });
        }
        state.leases += 1;
        Ok(())
    }

    fn end(&self) {
        let mut state = self.state();
        state.leases = state.leases.saturating_sub(1);
        if state.leases == 0 {
            state.noted.clear();
            if let Some(open) = state.open.take() {
                // A list that stays keeps a little more than it must, until this process ends. Windows empties no file by
                // a handle that only appends.
                let _ = File::options().write(true).truncate(true).open(&self.list);
                let _ = open.gate.unlock();
            }
        }
    }

    /// Notes that a blob is used, before it is looked for.
    pub(super) fn hold(&self, digest: &Digest) {
        let mut state = self.state();
        if state.leases == 0 || !state.noted.insert(digest.clone()) {
            return;
        }
        let Some(open) = state.open.as_mut().filter(|open| !open.shut) else { return };
        if let Err(error) = open.note(digest) {
            // A full disk, mostly. The lock is kept, so nobody removes blobs until the build has ended.
            tracing::debug!(%error, "what a build uses cannot be noted");
            open.shut = true;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn note(&mut self, digest: &Digest) -> io::Result<()> {
        self.gate.lock_shared()?;
        self.list.write_all(format!("{digest}\n").as_bytes())?;
        // A gate that stays shut keeps others from removing blobs, and does no harm. Wine says so of one that is open.
        let _ = self.gate.unlock();
        Ok(())
    }
}

/// The right to remove blobs. Released when dropped.
#[derive(Debug)]
pub(super) struct Gate {
    _lock: Lock,
}

impl Gate {
    /// Waits for the right; `None` when a build does not give way, which one that cannot note what it uses does not.
    pub(super) fn shut(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(GATE);
        let begun = Instant::now();
        loop {
            match Lock::attempt(open_gate(&path)?).map_err(at("lock", &path))? {
                Some(lock) => return Ok(Some(Self { _lock: lock })),
                None if begun.elapsed() > PATIENCE => return Ok(None),
                None => thread::sleep(PAUSE),
            }
        }
    }
}

/// The blobs that processes use now.
pub(super) fn in_use(root: &Path) -> Result<HashSet<Digest>, StoreError> {
    let folder = root.join("tmp");
    let mut used = HashSet::new();
    for entry in fs::read_dir(&folder).map_err(at("list", &folder))? {
        let path = entry.map_err(at("list", &folder))?.path().join(LIST);
        match fs::read_to_string(&path) {
            Ok(text) => used.extend(text.lines().filter_map(|line| line.parse::<Digest>().ok())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(at("read", &path)(error)),
        }
    }
    Ok(used)
}

/// Opens the lock, which is never replaced by another file.
fn open_gate(path: &Path) -> Result<File, StoreError> {
    File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(at("open", path))
}

#[cfg(test)]
mod tests {
    use std::fs::TryLockError;

    use super::*;

    #[test]
    fn what_is_looked_for_under_a_lease_is_noted_until_the_last_lease_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let before = store.put(b"before").expect("stored");
        let (first, second) = (store.lease().expect("a lease"), store.lease().expect("another"));
        let missing = super::super::digest_of(b"missing");
        assert!(!store.contains(&missing));
        let written = store.put(b"written").expect("stored");
        drop(first);
        let other = Store::open(folder.path()).expect("another process");
        assert_eq!(in_use(other.root()).expect("read"), HashSet::from([missing, written]));
        assert!(store.size(&before).is_ok());
        assert!(in_use(other.root()).expect("read").contains(&before));
        drop(second);
        assert_eq!(in_use(other.root()).expect("read"), HashSet::new());
    }

    #[test]
    fn blobs_are_removed_by_one_at_a_time_and_not_while_something_is_noted() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let gate = Gate::shut(store.root()).expect("a lock").expect("the right");
        let other = File::open(store.root().join(GATE)).expect("the lock");
        assert!(matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock)));
        drop(gate);
        assert!(other.try_lock_shared().is_ok());
    }
}

//! The digests of a context's files, remembered as git's index does: a file that has the same place, length and
//! times is the same file.

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{error::EngineError, index, time};
use crate::{
    context::{Context, Entry, Stamp, Time},
    error::with_sources,
    oci::{Store, digest_of},
};

/// Where they are kept, in the store; one file a context.
const FOLDER: &str = "backends/sandbox/digests";
/// A file that changed this many seconds ago or less may change again without a later time: some file systems count
/// in steps of two seconds.
const RACY: i64 = 3;
/// How many files a thread takes at once.
const BATCH: usize = 32;
/// How many files are remembered of one context.
const MOST: usize = 2_000_000;

/// The BLAKE3 of a file, which takes a quarter of the time of a SHA-256. Nothing but the store knows of it.
pub(super) type Hash = [u8; 32];

/// What is remembered of a file: all of its stamp, and its digest.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Known {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    digest: Hash,
}

/// The digests of one context. The default remembers nothing longer than it lives.
#[derive(Debug, Default)]
pub(super) struct Digests {
    file: Option<PathBuf>,
    known: Mutex<HashMap<(u64, u64), Known>>,
    is_new: AtomicBool,
}

impl Digests {
    /// What is remembered of the context in `folder`.
    pub(super) fn open(store: &Store, folder: &Path) -> Self {
        let name = digest_of(folder.as_os_str().as_encoded_bytes());
        let file = store.root().join(FOLDER).join(name.hex());
        let known: Option<Vec<Known>> =
            fs::read(&file).ok().and_then(|bytes| postcard::from_bytes(&bytes).ok());
        let known = known.unwrap_or_default();
        let known = known.into_iter().map(|known| ((known.device, known.inode), known)).collect();
        Self { file: Some(file), known: Mutex::new(known), is_new: AtomicBool::new(false) }
    }

    /// The digests of `files`, in their order. Those that are not remembered are read, by all CPUs.
    pub(super) fn of(
        &self,
        context: &Context,
        files: &[&Entry],
        cancel: &CancellationToken,
    ) -> Result<Vec<Hash>, EngineError> {
        let mut digests = vec![[0; 32]; files.len()];
        let mut unknown = Vec::new();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for (at, entry) in files.iter().enumerate() {
                match known
                    .get(&(entry.stamp.device, entry.stamp.inode))
                    .filter(|known| known.is(&entry.stamp))
                {
                    Some(known) => digests[at] = known.digest,
                    None => unknown.push(at),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(digests);
        }
        let next = AtomicUsize::new(0);
        let work = || read_some(context, files, &unknown, &next, cancel);
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = threads.min(unknown.len().div_ceil(BATCH));
        let found: Vec<(usize, Hash)> = if threads == 1 {
            work()?
        } else {
            thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                let mut found = Vec::with_capacity(unknown.len());
                for thread in threads {
                    let lost = |_| EngineError::Invalid("a thread that reads the context was lost".into());
                    found.extend(thread.join().map_err(lost)??);
                }
                Ok::<_, EngineError>(found)
            })?
        };
        let settled = time::now() - RACY;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, digest) in found {
            digests[at] = digest;
            let stamp = files[at].stamp;
            if stamp.changed.seconds < settled && stamp.modified.seconds < settled && known.len() < MOST {
                known.insert((stamp.device, stamp.inode), Known::new(stamp, digest));
                self.is_new.store(true, Ordering::Relaxed);
            }
        }
        Ok(digests)
    }

    /// Keeps what was learned. It is not worth an error, nor a wait for the disk.
    pub(super) fn save(&self) {
        let Some(path) = self.file.as_ref().filter(|_| self.is_new.swap(false, Ordering::Relaxed)) else {
            return;
        };
        let known: Vec<Known> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.values().copied().collect()
        };
        let write = || {
            let folder = path.parent().unwrap_or(path);
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&postcard::to_allocvec(&known).map_err(std::io::Error::other)?)?;
            file.persist(path).map_err(|error| error.error)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, file = %path.display(), "the digests of a context cannot be kept");
        }
    }
}

impl Drop for Digests {
    fn drop(&mut self) {
        self.save();
    }
}

impl Known {
    fn new(stamp: Stamp, digest: Hash) -> Self {
        let pair = |time: Time| (time.seconds, time.nanoseconds);
        Self {
            device: stamp.device,
            inode: stamp.inode,
            size: stamp.size,
            modified: pair(stamp.modified),
            changed: pair(stamp.changed),
            digest,
        }
    }

    fn is(&self, stamp: &Stamp) -> bool {
        let pair = |time: Time| (time.seconds, time.nanoseconds);
        (self.size, self.modified, self.changed) == (stamp.size, pair(stamp.modified), pair(stamp.changed))
    }
}

/// What one thread does: takes some files until there are none.
fn read_some(
    context: &Context,
    files: &[&Entry],
    unknown: &[usize],
    next: &AtomicUsize,
    cancel: &CancellationToken,
) -> Result<Vec<(usize, Hash)>, EngineError> {
    let mut reader = context.reader();
    let mut buffer = vec![0; 256 << 10];
    let mut found = Vec::new();
    loop {
        let begin = next.fetch_add(BATCH, Ordering::Relaxed);
        let Some(batch) = unknown.get(begin..).filter(|rest| !rest.is_empty()) else { return Ok(found) };
        for at in batch.iter().take(BATCH) {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let entry = files[*at];
            let unreadable = |error| EngineError::Invalid(with_sources(&error));
            let mut file = reader.open(entry).map_err(unreadable)?;
            let read = EngineError::io(format!("read {}", entry.path));
            let digest = index::hash(&mut file, &mut buffer, cancel).map_err(read)?;
            reader.check(entry, &file).map_err(unreadable)?;
            found.push((*at, digest));
        }
    }
}

//! The digests of a context's files, remembered as git's index does: a file that has the same place, length and
//! times is the same file.

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{error::EngineError, index};
use crate::{
    context::{Context, Entry, Reader, Stamp, Time},
    error::with_sources,
    oci::{Store, digest_of},
    time,
    whole_file::put_in_place,
};

/// Where they are kept, in the store; one file a context.
const FOLDER: &str = "backends/sandbox/digests";
/// A file that changed this many seconds ago or less may change again without a later time: some file systems count
/// in steps of two seconds.
const RACY: i64 = 3;
/// How many files a thread takes at once.
const BATCH: usize = 32;
/// How much is read at once, in bytes.
const BUFFER: usize = 256 << 10;
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

/// A file of a context, and its digest once somebody has read it.
#[derive(Debug)]
pub(super) struct ContextFile {
    pub(super) context: Arc<Context>,
    pub(super) entry: Entry,
    digests: Arc<Digests>,
    digest: OnceLock<Hash>,
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

    /// What is remembered of a file.
    fn recall(&self, stamp: &Stamp) -> Option<Hash> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(stamp.device, stamp.inode)).filter(|known| known.is(stamp)).map(|known| known.digest)
    }

    /// Remembers the digest of a file, unless it changed a moment ago.
    fn learn(&self, stamp: Stamp, digest: Hash) {
        let settled = time::now() - RACY;
        if stamp.changed.seconds < settled && stamp.modified.seconds < settled {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() < MOST {
                known.insert((stamp.device, stamp.inode), Known::new(stamp, digest));
                self.is_new.store(true, Ordering::Relaxed);
            }
        }
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
            put_in_place(file, path)
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

impl ContextFile {
    /// The file that a walk has found in `context`.
    pub(super) fn new(context: &Arc<Context>, entry: Entry, digests: &Arc<Digests>) -> Self {
        let digest = digests.recall(&entry.stamp).map_or_else(OnceLock::new, OnceLock::from);
        Self { context: Arc::clone(context), entry, digests: Arc::clone(digests), digest }
    }

    /// The digest, for which the file is read if nobody has done so.
    pub(super) fn digest(&self) -> Result<Hash, EngineError> {
        let mut reading = Reading::new(&self.context, CancellationToken::new());
        self.digest.get().map_or_else(|| reading.digest(self), |digest| Ok(*digest))
    }

    /// Whether nobody knows the digest yet. What others have learned since the walk counts.
    pub(super) fn is_unread(&self) -> bool {
        if self.digest.get().is_none()
            && let Some(known) = self.digests.recall(&self.entry.stamp)
        {
            // Whoever was quicker read the same file.
            let _ = self.digest.set(known);
        }
        self.digest.get().is_none()
    }

    /// Takes the digest from somebody who has read the file, and has seen afterwards that it is the same.
    pub(super) fn learn(&self, digest: Hash) {
        if self.digest.set(digest).is_ok() {
            self.digests.learn(self.entry.stamp, digest);
        }
    }
}

/// Those that nobody has read, of which nothing is remembered.
pub(super) fn unread<'f>(files: impl IntoIterator<Item = &'f Arc<ContextFile>>) -> Vec<Arc<ContextFile>> {
    files.into_iter().filter(|file| file.is_unread()).cloned().collect()
}

/// Reads the files, by all CPUs.
pub(super) fn read(files: &[Arc<ContextFile>], cancel: &CancellationToken) -> Result<(), EngineError> {
    let next = AtomicUsize::new(0);
    let work = || read_some(files, &next, cancel);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = threads.min(files.len().div_ceil(BATCH));
    if threads <= 1 {
        return work();
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            let lost = |_| EngineError::Invalid("a thread that reads the context was lost".into());
            thread.join().map_err(lost)?
        })
    })
}

/// What one thread does: takes some files until there are none.
fn read_some(
    files: &[Arc<ContextFile>],
    next: &AtomicUsize,
    cancel: &CancellationToken,
) -> Result<(), EngineError> {
    let Some(first) = files.first() else { return Ok(()) };
    let mut reading = Reading::new(&first.context, cancel.clone());
    loop {
        let begin = next.fetch_add(BATCH, Ordering::Relaxed);
        let Some(batch) = files.get(begin..).filter(|rest| !rest.is_empty()) else { return Ok(()) };
        for file in batch.iter().take(BATCH) {
            if !Arc::ptr_eq(&file.context, reading.context) {
                reading = Reading::new(&file.context, cancel.clone());
            }
            reading.digest(file)?;
        }
    }
}

/// One thread that reads files of a context.
struct Reading<'c> {
    context: &'c Arc<Context>,
    reader: Reader<'c>,
    buffer: Vec<u8>,
    cancel: CancellationToken,
}

impl<'c> Reading<'c> {
    fn new(context: &'c Arc<Context>, cancel: CancellationToken) -> Self {
        Self { context, reader: context.reader(), buffer: Vec::new(), cancel }
    }

    fn digest(&mut self, file: &ContextFile) -> Result<Hash, EngineError> {
        if self.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        self.buffer.resize(BUFFER, 0);
        let entry = &file.entry;
        let unreadable = |error| EngineError::Invalid(with_sources(&error));
        let mut opened = self.reader.open(entry).map_err(unreadable)?;
        let read = EngineError::io(format!("read {}", entry.path));
        let digest = index::hash(&mut opened, &mut self.buffer, &self.cancel).map_err(read)?;
        self.reader.check(entry, &opened).map_err(unreadable)?;
        if self.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        file.learn(digest);
        Ok(digest)
    }
}

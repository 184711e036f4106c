//! One log that somebody writes or reads in this process.

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use polyarch_actors::BuildId;
use tokio::sync::watch;

use super::{
    error::LogError,
    scan::{Scan, skip},
    tail::Tail,
};
use crate::file_at::read_exact_at;

/// What all readers of a log and its writer share.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: BuildId,
    pub(super) path: PathBuf,
    /// Whether this process writes it now.
    written: AtomicBool,
    /// For all readers; opened when there is something to read.
    file: OnceLock<File>,
    scan: Mutex<Scan>,
    tail: Mutex<Tail>,
    reached: watch::Sender<Reached>,
}

/// How far readers may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    /// Whether nothing follows, because the build has ended.
    pub(super) complete: bool,
}

impl Live {
    pub(super) fn new(id: BuildId, path: PathBuf) -> Self {
        Self {
            id,
            path,
            written: AtomicBool::new(false),
            file: OnceLock::new(),
            scan: Mutex::default(),
            tail: Mutex::default(),
            reached: watch::Sender::default(),
        }
    }

    pub(super) fn reached(&self) -> watch::Receiver<Reached> {
        self.reached.subscribe()
    }

    /// Looks how far the file goes, unless this process writes it and knows.
    pub(super) fn look(&self) -> Result<(), LogError> {
        let mut scan = locked(&self.scan);
        if self.written.load(Ordering::Acquire) {
            return Ok(());
        }
        let file = match self.file() {
            Ok(file) => file,
            // Nothing was written yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(LogError::io(&self.path, error)),
        };
        scan.extend(file).map_err(|error| LogError::io(&self.path, error))?;
        self.announce(&scan, scan.finished);
        Ok(())
    }

    /// Makes the caller the only one who writes, with what `open` finds.
    pub(super) fn claim<T>(
        &self,
        open: impl FnOnce(&mut Scan) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let mut scan = locked(&self.scan);
        if self.written.load(Ordering::Acquire) {
            return Err(LogError::InUse { id: self.id.clone() });
        }
        let opened = open(&mut scan)?;
        self.written.store(true, Ordering::Release);
        self.announce(&scan, scan.finished);
        Ok(opened)
    }

    /// Tells readers of lines that are in the file now, of these lengths.
    pub(super) fn wrote(&self, chunk: Bytes, lengths: &[u64], finished: bool) {
        let mut scan = locked(&self.scan);
        locked(&self.tail).push(scan.bytes, chunk);
        for length in lengths {
            scan.push(*length);
        }
        scan.finished = finished;
        self.announce(&scan, finished);
    }

    /// Lets go of what [`Self::claim`] gave.
    pub(super) fn release(&self) {
        let scan = locked(&self.scan);
        self.written.store(false, Ordering::Release);
        // Another may go on.
        self.announce(&scan, scan.finished);
    }

    /// What stands from a position on, or some of it, if it is in memory.
    pub(super) fn recent(&self, at: u64) -> Option<Bytes> {
        locked(&self.tail).from(at)
    }

    /// Fills `buffer` with what stands in the file from a position on.
    pub(super) fn read(&self, buffer: &mut [u8], at: u64) -> Result<(), LogError> {
        let read = self.file().and_then(|file| read_exact_at(file, buffer, at));
        read.map_err(|error| LogError::io(&self.path, error))
    }

    /// Where a line begins that is in the file.
    pub(super) fn place_of(&self, line: u64) -> Result<u64, LogError> {
        let (at, known) = locked(&self.scan).before(line);
        if line == known {
            return Ok(at);
        }
        let place = self.file().and_then(|file| skip(file, at, line - known));
        place.map_err(|error| LogError::io(&self.path, error))
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn announce(&self, scan: &Scan, complete: bool) {
        let now = Reached { bytes: scan.bytes, lines: scan.lines, complete };
        self.reached.send_if_modified(|reached| std::mem::replace(reached, now) != now);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

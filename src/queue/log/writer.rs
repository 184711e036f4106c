//! Writing the log of a build.

use std::{fs::File, sync::Arc};

use bytes::Bytes;
use polyarch_actors::BuildEvent;
use tokio::sync::Mutex;

use super::{
    error::LogError,
    frame::{is_end, is_output, missed, pieces, write_line},
    live::Live,
};
use crate::{file_at::write_all_at, queue::private};

/// How much is written at once, about.
const BATCH: usize = 64 << 10;

/// Writes the events of a build. There is one for a log at a time; when it is dropped without the end of the build, another
/// may go on, and readers wait for it.
#[derive(Debug)]
pub struct LogWriter {
    file: Arc<Mutex<LogFile>>,
}

/// The file, and what was not written to it.
#[derive(Debug)]
struct LogFile {
    live: Arc<Live>,
    file: File,
    bytes: u64,
    lines: u64,
    limit: u64,
    /// How many events are missing behind the last line.
    missing: u64,
    ended: bool,
}

/// Lines that are not in the file yet.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    lengths: Vec<u64>,
    /// How many events they are, of those that were given to the writer.
    events: u64,
    ends: bool,
}

impl LogWriter {
    /// Opens the log; what a crash has left of a last line goes.
    pub(super) fn open(live: Arc<Live>, limit: u64) -> Result<Self, LogError> {
        let wrong = |error| LogError::io(&live.path, error);
        let (file, bytes, lines) = live.claim(|scan| {
            let file = private::open_file(&live.path).map_err(wrong)?;
            scan.extend(&file).map_err(wrong)?;
            if scan.finished {
                return Err(LogError::Ended { id: live.id.clone() });
            }
            file.set_len(scan.bytes).map_err(wrong)?;
            Ok((file, scan.bytes, scan.lines))
        })?;
        let file = LogFile { live, file, bytes, lines, limit, missing: 0, ended: false };
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    /// Writes events behind the others and tells readers of them; their sequence numbers become those of their lines.
    /// With the end of the build the file is on the disk.
    ///
    /// Events that cannot be written are lost, and the log says how many once it can be written again.
    ///
    /// # Errors
    /// [`LogError::Ended`] behind the end of the build, [`LogError::NoSpace`] and [`LogError::Io`].
    pub async fn append(&self, events: Vec<Arc<BuildEvent>>) -> Result<(), LogError> {
        self.with_file(move |file| file.append(&events)).await
    }

    /// Lets the file fail from now on, or no more: one that is open for reading alone.
    #[cfg(test)]
    pub(super) async fn fail(&self, fails: bool) {
        let mut file = self.file.lock().await;
        let open = std::fs::OpenOptions::new().read(true).write(!fails).open(&file.live.path);
        file.file = open.expect("opened");
    }

    /// Works off the threads of the runtime, in the order of the calls, and to the end even if the caller goes away.
    async fn with_file(
        &self,
        work: impl FnOnce(&mut LogFile) -> Result<(), LogError> + Send + 'static,
    ) -> Result<(), LogError> {
        let mut file = Arc::clone(&self.file).lock_owned().await;
        let path = file.live.path.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut file)).await;
        done.map_err(|error| LogError::io(&path, std::io::Error::other(error)))?
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.live.release();
    }
}

impl LogFile {
    fn append(&mut self, events: &[Arc<BuildEvent>]) -> Result<(), LogError> {
        if self.ended {
            return Err(LogError::Ended { id: self.live.id.clone() });
        }
        let mut all = Ok(());
        let mut batch = Batch::default();
        for event in events {
            if is_output(event) && self.bytes + batch.text.len() as u64 >= self.limit {
                // What is in the batch stands before what is missing.
                all = all.and(self.write(std::mem::take(&mut batch)));
                self.missing += 1;
                continue;
            }
            if self.missing > 0 && batch.text.is_empty() {
                self.line(&mut batch, &missed(event, self.missing));
            }
            match pieces(event) {
                Some(pieces) => pieces.for_each(|piece| self.line(&mut batch, &piece)),
                None => self.line(&mut batch, event),
            }
            batch.events += 1;
            batch.ends = is_end(event);
            if batch.text.len() >= BATCH || batch.ends {
                all = all.and(self.write(std::mem::take(&mut batch)));
            }
            if self.ended {
                return all;
            }
        }
        all.and(self.write(batch))
    }

    fn line(&self, batch: &mut Batch, event: &BuildEvent) {
        let before = batch.text.len();
        write_line(&mut batch.text, event, self.lines + batch.lengths.len() as u64);
        batch.lengths.push((batch.text.len() - before) as u64);
    }

    /// Writes lines, and tells of them when they are there.
    fn write(&mut self, batch: Batch) -> Result<(), LogError> {
        if batch.text.is_empty() {
            return Ok(());
        }
        if let Err(error) = write_all_at(&self.file, &batch.text, self.bytes) {
            self.missing += batch.events;
            // What is there of them is written over by the next, and cut off where that fails too.
            let _ = self.file.set_len(self.bytes);
            return Err(LogError::io(&self.live.path, error));
        }
        // A batch begins with the event that tells what is missing.
        self.missing = 0;
        self.bytes += batch.text.len() as u64;
        self.lines += batch.lengths.len() as u64;
        self.ended = batch.ends;
        let synced = if batch.ends { self.sync() } else { Ok(()) };
        self.live.wrote(Bytes::from(batch.text), &batch.lengths, batch.ends);
        synced
    }

    fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|error| LogError::io(&self.live.path, error))
    }
}

//! How much disk is free for builds.

use std::{path::PathBuf, time::Duration};

use tokio::sync::mpsc;

use super::notes::Note;
use crate::queue::Counts;

/// How often is looked how much disk is free.
const LOOK: Duration = Duration::from_secs(5);

/// Tells the runner when there is too little disk, and when there is enough again.
pub(super) struct Disk {
    pub(super) root: PathBuf,
    pub(super) least: u64,
    pub(super) is_full: bool,
    pub(super) notes: mpsc::WeakUnboundedSender<Note>,
}

impl Disk {
    /// For as long as the runner goes on.
    pub(super) async fn watch(mut self, counts: Counts) {
        loop {
            tokio::time::sleep(LOOK).await;
            // What cannot be found out keeps nobody waiting.
            let is_full = free_at(self.root.clone(), &counts).await.is_some_and(|free| free < self.least);
            let Some(notes) = self.notes.upgrade() else { return };
            if is_full != self.is_full && notes.send(Note::Disk(is_full)).is_err() {
                return;
            }
            self.is_full = is_full;
        }
    }
}

/// How much is free where the store is, in bytes, if that can be found out.
pub(super) async fn free_at(root: PathBuf, counts: &Counts) -> Option<u64> {
    let free = tokio::task::spawn_blocking(move || fs4::available_space(root)).await.ok()?.ok()?;
    counts.free(free);
    Some(free)
}

//! How many commands run at once.

use std::{num::NonZero, sync::Arc};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// How many commands run at once. Engines with clones of one share the number.
#[derive(Clone, Debug)]
pub struct Commands(Arc<Semaphore>);

impl Commands {
    /// So many, and at least one.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// Waits until a command may run. Nothing when it is cancelled before.
    pub(super) async fn turn(&self, cancel: &CancellationToken) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            turn = self.0.acquire() => turn.ok(),
            () = cancel.cancelled() => None,
        }
    }
}

impl Default for Commands {
    /// As many as this machine has CPUs.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, NonZero::get))
    }
}

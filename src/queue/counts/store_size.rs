//! How large the store is. Looking takes long, so nobody waits for it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::counters::Counts;
use crate::{Orchestrator, prune};

/// How old a measurement may become.
const KEPT: Duration = Duration::from_mins(5);

/// When the store was measured last.
#[derive(Clone, Debug, Default)]
pub(in crate::queue) struct StoreSize(Arc<Mutex<Measured>>);

#[derive(Debug, Default)]
enum Measured {
    #[default]
    Never,
    /// Somebody is at it.
    Now,
    At(Instant),
}

impl StoreSize {
    /// Begins to measure, unless that was done lately or is being done.
    pub(in crate::queue) fn refresh(&self, orchestrator: &Orchestrator, counts: &Counts) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *measured {
            Measured::Now => return,
            Measured::At(when) if when.elapsed() < KEPT => return,
            Measured::Never | Measured::At(_) => *measured = Measured::Now,
        }
        drop(measured);
        let (root, counts, size) = (orchestrator.store().root().to_owned(), counts.clone(), self.clone());
        orchestrator.spawn(async move {
            if let Ok(bytes) = tokio::task::spawn_blocking(move || prune::occupied(&root)).await {
                counts.store_takes(bytes);
            }
            *size.0.lock().unwrap_or_else(PoisonError::into_inner) = Measured::At(Instant::now());
        });
    }
}

//! Ending a build that runs.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::CancellationToken;

/// Why a build that runs is to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody asked for it, or a newer build takes its place.
    Cancelled,
    /// Nobody wants it after its deadline.
    Deadline,
    /// The queue closes; the build is begun again when it is opened again.
    Closing,
}

/// Ends one build. Cheap to clone; the first reason counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    why: Arc<OnceLock<Why>>,
    closing: Arc<AtomicBool>,
}

impl Stop {
    pub(super) fn fire(&self, why: Why) {
        let _ = self.why.set(why);
        self.closing.fetch_or(why == Why::Closing, Ordering::Release);
        self.token.cancel();
    }

    pub(super) fn why(&self) -> Option<Why> {
        self.why.get().copied()
    }

    /// Whether the queue closes, whatever came before.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(super) async fn fired(&self) {
        self.token.cancelled().await;
    }
}

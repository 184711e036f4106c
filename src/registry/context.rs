//! What accompanies one publication or pull: cancellation, what happened, and the retries that are left.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use polyarch_actors::Digest;
use tokio_util::sync::CancellationToken;

use super::{
    error::RegistryError,
    retry::{RetryBudget, RetryLimits},
    upload::BlobOutcome,
};

/// Something that happened while bytes were moved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferEvent {
    /// A request failed and is made again after a wait.
    Retried {
        /// The registry's host.
        registry: String,
        /// What failed.
        reason: String,
        /// The wait before the next attempt.
        wait: Duration,
        /// How many retries there have been, this one included.
        retries: u32,
    },
    /// Bytes were moved, or found to be there. `done` falls when an upload begins again.
    Advanced {
        /// The bytes so far.
        done: u64,
        /// The bytes that are known to be needed.
        total: u64,
    },
    /// Writing to a registry began.
    RegistryStarted {
        /// Its host.
        registry: String,
    },
    /// A registry has everything but the tags.
    RegistryFilled {
        /// Its host.
        registry: String,
    },
    /// A blob is where it should be.
    BlobFinished {
        /// The repository it was sent to or came from.
        repository: String,
        /// The blob.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// How it came there.
        outcome: BlobOutcome,
    },
    /// A manifest or index is where it should be.
    ManifestFinished {
        /// The repository it was sent to or came from.
        repository: String,
        /// The manifest.
        digest: Digest,
    },
    /// A tag points at what was published.
    Tagged {
        /// The name with the tag.
        reference: String,
        /// What it points at.
        digest: Digest,
    },
}

/// Accompanies one publication or pull. Clones share everything.
#[derive(Clone)]
pub struct TransferCx {
    cancel: CancellationToken,
    on_event: Arc<dyn Fn(TransferEvent) + Send + Sync>,
    budget: Arc<RetryBudget>,
    meter: Arc<Meter>,
}

#[derive(Debug, Default)]
struct Meter {
    done: AtomicU64,
    total: AtomicU64,
}

impl fmt::Debug for TransferCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferCx")
            .field("budget", &self.budget)
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

impl TransferCx {
    /// A publication or pull that ends when `cancel` does and tells `on_event` what happens.
    ///
    /// `on_event` is called from several tasks, often, and must not block.
    pub fn new(
        cancel: CancellationToken,
        limits: RetryLimits,
        on_event: impl Fn(TransferEvent) + Send + Sync + 'static,
    ) -> Self {
        Self {
            cancel,
            on_event: Arc::new(on_event),
            budget: Arc::new(RetryBudget::new(limits)),
            meter: Arc::default(),
        }
    }

    /// A publication or pull that nobody watches or cancels.
    pub fn unwatched() -> Self {
        Self::new(CancellationToken::new(), RetryLimits::default(), |_| {})
    }

    /// What ends it early.
    pub(crate) fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    pub(super) fn emit(&self, event: TransferEvent) {
        (self.on_event)(event);
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Runs `work` until it ends or somebody cancels.
    pub(crate) async fn until_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        self.cancel.run_until_cancelled(work).await.unwrap_or(Err(RegistryError::Cancelled))
    }

    /// Makes a request, again and again while that may help and the budget lasts. Cancelling drops it where
    /// it is.
    pub(crate) async fn retrying<T, F>(
        &self,
        registry: &str,
        mut request: impl FnMut() -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        self.retrying_to_the_end(registry, || self.until_cancelled(request())).await
    }

    /// As [`TransferCx::retrying`], for a request that notices cancelling itself and has to clean up.
    pub(crate) async fn retrying_to_the_end<T, F>(
        &self,
        registry: &str,
        mut request: impl FnMut() -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        for attempt in 0.. {
            let error = match Box::pin(request()).await {
                Err(error) if error.retryable() => error,
                end => return end,
            };
            let Some((wait, retries)) = self.budget.take(attempt, error.retry_after()) else {
                return Err(error);
            };
            self.emit(TransferEvent::Retried {
                registry: registry.to_owned(),
                reason: error.to_string(),
                wait,
                retries,
            });
            let slept = async {
                tokio::time::sleep(wait).await;
                Ok(())
            };
            self.until_cancelled(slept).await?;
        }
        Err(RegistryError::Cancelled)
    }

    /// Says that so many more bytes are needed.
    pub(super) fn expect_bytes(&self, bytes: u64) {
        self.meter.total.fetch_add(bytes, Ordering::Relaxed);
        self.report();
    }

    fn report(&self) {
        let (done, total) =
            (self.meter.done.load(Ordering::Relaxed), self.meter.total.load(Ordering::Relaxed));
        self.emit(TransferEvent::Advanced { done, total });
    }
}

/// The bytes of one blob that were reported as moved.
///
/// A request that was given up may go on handing over bytes for a moment; they no longer count.
#[derive(Debug)]
pub(super) struct Tally {
    cx: TransferCx,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    attempt: u64,
    bytes: u64,
}

/// One attempt to move a blob or a part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt(u64);

impl Tally {
    pub(super) fn new(cx: &TransferCx) -> Self {
        Self { cx: cx.clone(), counted: Mutex::default() }
    }

    /// Begins again where `bytes` have been moved, and ends the attempt before.
    pub(super) fn begin_at(&self, bytes: u64) -> Attempt {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.attempt += 1;
        self.set(&mut counted, bytes);
        Attempt(counted.attempt)
    }

    /// Counts bytes that were moved by an attempt, unless it has ended.
    pub(super) fn add(&self, attempt: Attempt, bytes: u64) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.attempt == attempt.0 {
            let bytes = counted.bytes + bytes;
            self.set(&mut counted, bytes);
        }
    }

    fn set(&self, counted: &mut Counted, bytes: u64) {
        if counted.bytes != bytes {
            self.cx.meter.done.fetch_add(bytes.wrapping_sub(counted.bytes), Ordering::Relaxed);
            counted.bytes = bytes;
            self.cx.report();
        }
    }
}

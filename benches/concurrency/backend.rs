//! A scripted backend that remembers when each build began.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use polyarch_actors::{
    BackendId, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, Capabilities, Platform,
    testing::{Act, ScriptedBackend},
};

#[derive(Debug)]
pub(crate) struct Timed {
    scripted: ScriptedBackend,
    starts: Mutex<Vec<Instant>>,
}

impl Timed {
    pub(crate) fn new(slots: usize) -> Self {
        Self { scripted: ScriptedBackend::new("scripted", slots), starts: Mutex::default() }
    }

    /// Says what the next builds are to do.
    pub(crate) fn prepare(&self, builds: usize, work: Duration) {
        self.starts().clear();
        // A clone of a scripted backend follows the same script.
        let _ = self.scripted.clone().on(&Platform::host_linux(), vec![Act::Build(work); builds]);
    }

    /// How long after a moment each build began.
    pub(crate) fn waits(&self, since: Instant) -> Vec<Duration> {
        let violations = self.scripted.violations();
        assert!(violations.is_empty(), "{violations:?}");
        self.starts().iter().map(|start| start.saturating_duration_since(since)).collect()
    }

    fn starts(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BuildBackend for Timed {
    fn id(&self) -> BackendId {
        self.scripted.id()
    }

    fn probe(&self) -> BoxFuture<'_, Capabilities> {
        self.scripted.probe()
    }

    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>> {
        self.starts().push(Instant::now());
        self.scripted.build(request, cx)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.scripted.close()
    }
}

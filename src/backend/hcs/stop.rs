//! The end of a step before its time.
//!
//! Calls that wait cannot be interrupted, but a container that ends wakes whoever waits for it. Between two calls, the
//! thread of a step looks here by itself.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::{api::ComputeSystem, failure::HcsFailure};

/// Why a step is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Nobody wants it any more.
    Cancelled,
    /// It ran longer than it may.
    TimedOut,
}

/// Ends a step.
#[derive(Debug, Default)]
pub(super) struct Stop {
    state: Mutex<State>,
    token: CancellationToken,
}

#[derive(Default)]
struct State {
    reason: Option<Reason>,
    /// The container, while something may wait for it.
    system: Option<Arc<dyn ComputeSystem>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl Stop {
    /// Ends the step, of which there may be a container already. It blocks.
    pub(super) fn fire(&self, reason: Reason) {
        let system = {
            let mut state = self.state();
            state.reason.get_or_insert(reason);
            state.system.clone()
        };
        self.token.cancel();
        if let Some(system) = system
            && let Err(error) = system.terminate()
        {
            // Whoever runs the step ends it once more, and says so if it cannot.
            tracing::debug!(%error, "a container did not end when it was asked to");
        }
    }

    /// What is cancelled when the step is to end.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Fails if the step is to end.
    pub(super) fn check(&self) -> Result<(), HcsFailure> {
        match self.state().reason {
            None => Ok(()),
            Some(Reason::Cancelled) => Err(HcsFailure::Cancelled),
            Some(Reason::TimedOut) => Err(HcsFailure::TimedOut),
        }
    }

    /// The container that is to end with the step, from now on. Fails if the step is to end.
    pub(super) fn watch(&self, system: &Arc<dyn ComputeSystem>) -> Result<(), HcsFailure> {
        self.state().system = Some(Arc::clone(system));
        self.check()
    }

    /// Forgets the container: from now on nothing waits for it.
    pub(super) fn forget(&self) {
        self.state().system = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

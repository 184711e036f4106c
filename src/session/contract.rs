//! What whoever builds images asks of a session.

use std::{collections::BTreeSet, fmt, sync::Arc};

use futures::future::BoxFuture;
use polyarch_actors::{Platform, StepNeed};
use tokio_util::sync::CancellationToken;

use super::{
    error::{SessionError, Unusable},
    outcome::{StepOutcome, Stream},
    step::{Emulator, Step},
};

/// What gets everything that a command writes, as it comes.
pub type Output<'a> = &'a mut (dyn FnMut(Stream, &[u8]) + Send);

/// Runs steps. Any number of them may run at once.
pub trait Session: fmt::Debug + Send + Sync {
    /// Finds out whether and how steps can be run here, by trying.
    fn probe(&self) -> BoxFuture<'_, Result<SessionReport, Unusable>>;

    /// Finds out whether this machine can run a step, before its layers are fetched.
    fn check<'a>(&'a self, _step: &'a Step) -> BoxFuture<'a, Result<(), SessionError>> {
        Box::pin(async { Ok(()) })
    }

    /// Runs a step. That its command fails is an outcome.
    ///
    /// When it is cancelled, everything of the step is gone before this returns. When the future is dropped,
    /// everything goes soon afterwards.
    fn run<'a>(
        &'a self,
        step: Step,
        output: Output<'a>,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<StepOutcome, SessionError>>;

    /// Ends whatever waits for work. Steps that run now are not touched.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// A session that several builds use.
pub type SharedSession = Arc<dyn Session>;

/// What a session can do on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// How it runs steps, in a few words: `overlay, rootless`.
    pub manner: String,
    /// The platforms whose programs this machine runs by itself.
    pub native: Vec<Platform>,
    /// The foreign CPUs whose programs can be run.
    pub emulated: Vec<Emulation>,
    /// What it can give to steps that ask for it.
    pub gives: BTreeSet<StepNeed>,
    /// What does not work as well as it could, and what to do about it, as sentences.
    pub advice: Vec<String>,
}

/// A foreign CPU whose programs can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emulation {
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// What a [`Step`] for them must name; absent where the kernel has an emulator for all programs.
    pub emulator: Option<Emulator>,
}

//! What the core asks of whatever builds images.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{BackendId, BuildError, BuildRequest, BuiltImage, EventSink, ImageOs, Platform, StepNeed};

/// Turns a request into an image in the store.
///
/// A backend does the work and nothing else: it does not queue, retry, tag or push, which is done once for
/// all backends.
pub trait BuildBackend: Send + Sync + 'static {
    /// The name that `--backend` takes.
    fn id(&self) -> BackendId;

    /// What can be built here, and why not the rest. Called once when the orchestrator starts.
    fn probe(&self) -> BoxFuture<'_, Capabilities>;

    /// Builds one platform.
    ///
    /// When `cx.cancel` fires, the future ends soon with [`BuildError::Cancelled`], and by then every
    /// process, mount and temporary file of the build is gone. Dropping the future has the same effect
    /// without the report.
    fn build(&self, request: BuildRequest, cx: BuildCx) -> BoxFuture<'_, Result<BuiltImage, BuildError>>;

    /// Gives back whatever is held between builds. No build is running or will be asked for.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A backend that several places hold.
pub type SharedBackend = Arc<dyn BuildBackend>;

/// What a running build is given.
#[derive(Clone, Debug)]
pub struct BuildCx {
    /// Where its events go.
    pub events: EventSink,
    /// Fires when the build is no longer wanted.
    pub cancel: CancellationToken,
    /// Whether the route says that RUN steps are emulated.
    pub emulated: bool,
}

/// What a backend can do on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Whether it works at all.
    pub availability: Availability,
    /// Platforms whose RUN steps run on this machine's own CPU.
    pub native: Vec<Platform>,
    /// Platforms whose RUN steps run under emulation.
    pub emulated: Vec<Platform>,
    /// Operating systems for which images without any RUN can be put together, for every CPU.
    pub assembles: Vec<ImageOs>,
    /// What it gives steps that not every backend does.
    #[serde(default)]
    pub gives: BTreeSet<StepNeed>,
    /// Whether it knows each step by a key, so that steps can be brought from elsewhere, taken elsewhere, and done
    /// again stage by stage.
    #[serde(default)]
    pub knows_steps: bool,
    /// Whether it builds for others: fetches as [`BuildRequest::fetching`] says, and opens an enclosed context
    /// ([`ContextSource::Enclosed`](crate::ContextSource::Enclosed)) through no symbolic link.
    #[serde(default)]
    pub fetches_for_others: bool,
    /// How many builds it runs at once.
    pub slots: usize,
    /// What a person could install or change to get more, one sentence each.
    pub advice: Vec<String>,
}

/// Whether a backend works at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// It does; the text says what it is, with its version.
    Usable(String),
    /// It does not; the text says why, as a fragment: `is not installed`.
    Unusable(String),
}

impl Capabilities {
    /// A backend that cannot be used, and what would change that.
    pub fn unusable(reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            availability: Availability::Unusable(reason.into()),
            native: Vec::new(),
            emulated: Vec::new(),
            assembles: Vec::new(),
            gives: BTreeSet::new(),
            knows_steps: false,
            fetches_for_others: false,
            slots: 0,
            advice: vec![advice.into()],
        }
    }
}

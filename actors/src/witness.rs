//! Seeing the facts of a build in the moment in which they are recorded.

use std::fmt::Debug;

use tracing::Span;

use crate::{BuildEvent, Platform};

/// Sees every fact of one build once, in their order, before anybody who reads the log of the build.
///
/// It is called by whoever tells the fact, so it must not wait, and must tell no fact itself.
pub trait Witness: Debug + Send + Sync {
    /// Sees a fact.
    fn see(&self, event: &BuildEvent);

    /// The span that work on a platform belongs to at the moment, or work on all of the build.
    fn span(&self, platform: Option<&Platform>) -> Span;
}

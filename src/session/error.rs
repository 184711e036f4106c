//! Why a step cannot be run.

use std::io::ErrorKind;

use polyarch_actors::{BuildError, Resource, Ulimit};
use serde::{Deserialize, Serialize};

use crate::{guard::GuardError, oci::StoreError};

/// Why steps cannot be run on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unusable {
    /// A fragment: `needs newuidmap for ordinary users`.
    pub reason: String,
    /// What to do, as a sentence.
    pub advice: String,
}

impl Unusable {
    pub(super) fn new(reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { reason: reason.into(), advice: advice.into() }
    }
}

/// Why a step has no outcome. That its command fails is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It was cancelled, and everything of it is gone.
    #[error("cancelled")]
    Cancelled,
    /// This machine cannot run steps.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The helper process failed.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The step is impossible, or this machine failed.
    #[error(transparent)]
    Step(#[from] Failure),
    /// Something that says by itself who can act.
    #[error(transparent)]
    Told(#[from] BuildError),
}

/// Why a helper could not run a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Failure {
    /// A layer below is not what it should be.
    #[error("layer {digest} cannot be unpacked: {reason}")]
    Layer {
        /// The blob.
        digest: String,
        /// What is wrong.
        reason: String,
    },
    /// The user or group is not in the image.
    #[error("{0}")]
    User(String),
    /// A limit is higher than this user may set it.
    #[error("the limit {resource}={limit} is above {most}, the most that is allowed here")]
    Limit {
        /// What is limited.
        resource: Resource,
        /// What was asked for.
        limit: Ulimit,
        /// The most that the hard limit may be.
        most: u64,
    },
    /// What the step may use up cannot be limited, though it could when that was tried out.
    #[error("the step cannot be limited: {0}")]
    Unlimited(String),
    /// The program cannot be executed.
    #[error("cannot execute {program}: {reason}")]
    Execute {
        /// What was to be executed.
        program: String,
        /// Why not.
        reason: String,
    },
    /// A mount of the step is impossible.
    #[error("cannot mount {target}: {reason}")]
    Mount {
        /// Where.
        target: String,
        /// Why not.
        reason: String,
    },
    /// The new layer cannot be written.
    #[error("cannot write the layer: {0}")]
    Write(String),
    /// The system refused something.
    #[error("cannot {action}: {reason}")]
    System {
        /// What was tried, beginning with a verb.
        action: String,
        /// Why not.
        reason: String,
        /// Whether the disk is full, which a person mends in another way than any other failure.
        full: bool,
    },
}

impl Failure {
    /// Names what was tried when the system refused.
    pub fn system<E: Into<std::io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |error| {
            let error = error.into();
            let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            Self::System { action, reason: error.to_string(), full }
        }
    }
}

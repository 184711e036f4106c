//! What the service is in front of: whatever takes builds and knows of them.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use axum::http::StatusCode;
use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use polyarch_actors::{BuildId, Digest, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    backends::BackendDocument,
    builds::{BuildDocument, ListFilter, ListPage, Submission},
    problem::{FieldProblem, Problem},
    queue::QueueDocument,
    tenants::{Tenant, TenantName},
};
use crate::{BuildSpec, Receipt, queue::Counts, trace::TraceParent};

/// Takes builds and knows of them. The service has checked what it asks; whose a build is, a desk checks itself: one of
/// another tenant is [`DeskError::NotFound`].
pub trait Desk: Send + Sync + 'static {
    /// Takes a build, and answers when it cannot be lost any more.
    fn submit(&self, order: Order) -> BoxFuture<'_, Result<Taken, DeskError>>;

    /// The build that an order led to which came with this key, where it was the order of this request.
    fn replayed<'a>(
        &'a self,
        tenant: &'a TenantName,
        key: &'a str,
        request: &'a Digest,
    ) -> Answer<'a, Option<BuildDocument>>;

    /// What is known of a build.
    fn get<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument>;

    /// The builds of a tenant, the newest first.
    fn list<'a>(&'a self, tenant: &'a TenantName, filter: ListFilter) -> Answer<'a, ListPage>;

    /// Asks for an early end of a build, which has not come when this answers.
    ///
    /// # Errors
    /// [`DeskError::Ended`] when it has come before.
    fn cancel<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument>;

    /// Waits for the end of a build.
    fn ended<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, BuildDocument>;

    /// The events of a build behind the one numbered `after`, until it ends. Those of a build that has ended are read
    /// like those of one that runs.
    fn follow<'a>(
        &'a self,
        tenant: &'a TenantName,
        build: &'a BuildId,
        after: Option<u64>,
    ) -> Answer<'a, EventLines>;

    /// What the steps of a build printed, so far or until it ends.
    fn text<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId, follow: bool)
    -> Answer<'a, TextPieces>;

    /// The receipt of a build, when it has succeeded.
    fn receipt<'a>(&'a self, tenant: &'a TenantName, build: &'a BuildId) -> Answer<'a, Option<Receipt>>;

    /// What waits and runs, as far as a tenant may know.
    fn queue<'a>(&'a self, tenant: &'a TenantName) -> Answer<'a, QueueDocument>;

    /// The backends and what they do.
    fn backends(&self) -> Answer<'_, Vec<BackendDocument>>;

    /// How much waits and runs, of all tenants.
    fn load(&self) -> Answer<'_, Load>;

    /// What is counted of the builds, of all tenants; nothing where nobody counts. Asked once, when the service is
    /// opened.
    fn counts(&self) -> Option<Counts> {
        None
    }

    /// The archives of contexts that builds which have not ended are made of, as their specs name them.
    fn archives(&self) -> Answer<'_, BTreeSet<PathBuf>>;

    /// Whether builds can be taken; if not, why, in one sentence.
    fn ready(&self) -> BoxFuture<'_, Result<(), String>>;
}

/// What a desk answers, later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, DeskError>>;

/// The events of a build: the number of each, and its JSON in one line.
pub type EventLines = BoxStream<'static, Result<(u64, Bytes), DeskError>>;

/// A text in pieces.
pub type TextPieces = BoxStream<'static, Result<Bytes, DeskError>>;

/// A build that somebody asks for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// What is to be built.
    pub spec: BuildSpec,
    /// Where the context is, for people: `upload sha256:…`, `git …` or `path …`.
    pub context: String,
    /// Whether the context can never have other files than now.
    pub pinned: bool,
    /// When it is to be built, and what it replaces.
    pub submission: Submission,
    /// The hash of the document that asks for it, kept with its idempotency key.
    pub request: Digest,
    /// The span of whoever asks, which the build is part of.
    pub trace: Option<TraceParent>,
}

/// A build that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The build.
    pub build: BuildDocument,
    /// Whether it was there before.
    pub how: How,
}

/// Whether a build was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It was not.
    New,
    /// The same build waits or runs, and is the answer to both.
    Identical,
    /// The same idempotency key was given with it.
    SameKey,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many builds run.
    pub running: usize,
    /// How many wait.
    pub waiting: usize,
    /// Since when the one waits that has waited for longest.
    pub oldest: Option<Timestamp>,
}

/// Why a desk does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// There is no such build of this tenant.
    #[error("there is no such build")]
    NotFound,
    /// It is too late to cancel the build.
    #[error("the build has ended")]
    Ended,
    /// The idempotency key came with another build before.
    #[error("the idempotency key was given with another build before")]
    KeyReused,
    /// The build cannot be taken as it is.
    #[error("{detail}")]
    Refused {
        /// The field, as a JSON Pointer; empty if it is none in particular.
        pointer: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The tenant has as much waiting as it may.
    #[error("{detail}")]
    Full {
        /// What is full.
        detail: String,
        /// When to ask again, in seconds.
        retry_after: u32,
    },
    /// No builds are taken any more, or not yet.
    #[error("{detail}")]
    Closed {
        /// Why not.
        detail: String,
    },
    /// Something on this machine failed, of which nobody is told but the log.
    #[error("{reason}")]
    Host {
        /// What failed.
        reason: String,
    },
}

/// When to ask again where nothing better is known, in seconds.
const LATER: u32 = 5;

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::NotFound => Self::new(StatusCode::NOT_FOUND, error),
            DeskError::Ended | DeskError::KeyReused => Self::new(StatusCode::CONFLICT, error),
            DeskError::Refused { pointer, detail } => Self::fields(vec![FieldProblem { pointer, detail }]),
            DeskError::Full { ref detail, retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(retry_after)
            }
            DeskError::Closed { ref detail } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(LATER)
            }
            DeskError::Host { reason } => {
                tracing::error!(reason, "a request could not be served");
                Self::internal()
            }
        }
    }
}

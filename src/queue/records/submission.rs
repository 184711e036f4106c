//! What is submitted, and what becomes of it.

use polyarch_actors::{
    BuildId, Digest, Timestamp,
    queue::{Priority, Tenant},
};

use super::{error::RecordsError, row::BuildRecord};
use crate::{
    BuildSpec, TimeLimits,
    queue::{
        About, Key, Supersede,
        identity::{identity, is_pinned, to_json},
    },
    trace::TraceParent,
};

/// A build that is asked for.
#[derive(Clone, Debug)]
pub struct NewBuild {
    /// Whose it is.
    pub tenant: Tenant,
    /// What is to be built. Its paths mean something to the process that builds.
    pub spec: BuildSpec,
    /// Which builds of the tenant begin first.
    pub priority: Priority,
    /// Two submissions of the tenant with the same key are the same build, for as long as its record is kept.
    pub idempotency_key: Option<Key>,
    /// The hash of the request that came with the key, by which [`RecordsReader::replayed`](super::RecordsReader::replayed)
    /// finds the build.
    pub request: Option<Digest>,
    /// Which builds are about the same thing, and what this one means for the older ones.
    pub supersede: Option<Supersede>,
    /// When nobody wants it any more.
    pub deadline: Option<Timestamp>,
    /// How long it may take.
    pub limits: TimeLimits,
    /// Where the context is, for people, where that is another place than the spec says.
    pub context: Option<String>,
    /// Whether the context cannot change, where the spec does not say so by itself (as a commit does).
    pub pinned: bool,
    /// The span elsewhere that the build is part of. Another submission of the same build changes nothing about it.
    pub trace: Option<TraceParent>,
}

impl NewBuild {
    /// A build of the default tenant, without any wishes.
    pub fn new(spec: BuildSpec) -> Self {
        Self {
            tenant: Tenant::default(),
            spec,
            priority: Priority::default(),
            idempotency_key: None,
            request: None,
            supersede: None,
            deadline: None,
            limits: TimeLimits::default(),
            context: None,
            pinned: false,
            trace: None,
        }
    }
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The build.
    pub id: BuildId,
    /// What is known of it now.
    pub record: BuildRecord,
    /// Whether it is a new one.
    pub how: How,
    /// The older builds that ended as superseded by it, the oldest first. Their logs have no end yet.
    pub superseded: Vec<BuildId>,
    /// The older builds that run and are to be cancelled, the oldest first. Their records say so already.
    pub to_cancel: Vec<BuildId>,
}

/// How a submission came to its build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is a new build.
    New,
    /// The tenant had asked for the same before, and that serves both: it waits, or it runs and what it reads cannot
    /// change. It has the higher priority and the later deadline of the two.
    Identical,
    /// The tenant had submitted it before with the same key. Nothing was changed.
    SameKey,
}

/// A submission in the form that records have.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: BuildId,
    pub(super) now: Timestamp,
    pub(super) tenant: Tenant,
    pub(super) spec: String,
    pub(super) identity: Digest,
    pub(super) pinned: bool,
    pub(super) priority: Priority,
    pub(super) about: About,
    pub(super) idempotency_key: Option<Key>,
    pub(super) request: Option<Digest>,
    pub(super) supersede: Option<Supersede>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) limits: TimeLimits,
}

impl Prepared {
    pub(super) fn new(new: NewBuild) -> Result<Self, RecordsError> {
        let spec = to_json(&new.spec)?;
        let about = About::of(&new.spec);
        Ok(Self {
            id: BuildId::generate(),
            now: Timestamp::now(),
            identity: identity(&new.tenant, &spec),
            pinned: new.pinned || is_pinned(&new.spec),
            about: About {
                context: new.context.unwrap_or_else(|| about.context.clone()),
                trace: new.trace,
                ..about
            },
            spec,
            tenant: new.tenant,
            priority: new.priority,
            idempotency_key: new.idempotency_key,
            request: new.request,
            supersede: new.supersede,
            deadline: new.deadline,
            limits: new.limits,
        })
    }
}

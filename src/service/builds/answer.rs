//! What is known of a build, as it is answered.

use polyarch_actors::{BackendId, BuildId, Digest, Fault, Platform, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    queue::{BuildState, LaneState},
    service::tenants::TenantName,
};

/// A build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Build)]
pub struct BuildDocument {
    /// Its id.
    #[schema(value_type = String)]
    pub id: BuildId,
    /// Whose it is.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub tenant: TenantName,
    /// How far it is.
    pub state: BuildState,
    /// Its first tag.
    pub name: Option<String>,
    /// Where its context is.
    pub context: String,
    /// Its platforms, in the order of the index.
    #[serde(serialize_with = "texts")]
    #[schema(value_type = Vec<String>)]
    pub platforms: Vec<Platform>,
    /// How urgent it is among those of its tenant.
    pub priority: i8,
    /// When it was submitted, in milliseconds since 1970.
    #[schema(value_type = u64)]
    pub submitted: Timestamp,
    /// When it began, in milliseconds since 1970.
    #[schema(value_type = Option<u64>)]
    pub started: Option<Timestamp>,
    /// When it ended, in milliseconds since 1970.
    #[schema(value_type = Option<u64>)]
    pub ended: Option<Timestamp>,
    /// How often it began.
    pub attempt: u32,
    /// How many submissions have it as their answer, beside the first.
    pub attached: u32,
    /// Whether its early end was asked for, and has not come.
    pub cancelling: bool,
    /// What it waits for, while it waits.
    pub waiting: Option<WaitingDocument>,
    /// How far each platform is, in the order of the index.
    pub lanes: Vec<LaneDocument>,
    /// Why it did not succeed, when it has not.
    pub error: Option<FailureDocument>,
    /// The digest of its index, when it has one.
    #[schema(value_type = Option<String>)]
    pub index: Option<Digest>,
}

/// What a build waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub struct WaitingDocument {
    /// How many builds go before it for what it waits for.
    pub ahead: usize,
    /// What it waits for, in one sentence.
    pub reason: String,
}

/// How far one platform of a build is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Lane)]
pub struct LaneDocument {
    /// The platform.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub platform: Platform,
    /// How far it is.
    pub state: LaneState,
    /// What builds it.
    #[schema(value_type = Option<String>)]
    pub backend: Option<BackendId>,
}

/// Why a build did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureDocument {
    /// What went wrong, in one sentence.
    pub message: String,
    /// Who can do something about it: `user`, `host`, `registry`, `policy` or `cancelled`.
    #[schema(value_type = Option<String>)]
    pub fault: Option<Fault>,
}

fn text<S: serde::Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn texts<S: serde::Serializer>(values: &[Platform], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

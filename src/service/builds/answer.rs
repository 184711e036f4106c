//! What is known of a build, as it is answered.

use polyarch_actors::{BackendId, BuildId, Digest, Fault, Platform, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::tenants::TenantName;

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
    pub state: StateName,
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

/// How far a build is. The last six are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = BuildState)]
pub enum StateName {
    /// It waits to begin.
    Queued,
    /// It has begun.
    Running,
    /// Its index is there.
    Succeeded,
    /// It has an error.
    Failed,
    /// Somebody asked for its early end.
    Cancelled,
    /// A newer one took its place before it began.
    Superseded,
    /// It took longer than it may.
    TimedOut,
    /// The server ended while it ran, and it was not begun again.
    Lost,
}

impl StateName {
    /// Whether it changes no more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
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

/// How far one platform of a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LaneState {
    /// It waits for a slot.
    Queued,
    /// A backend builds it.
    Running,
    /// It is tried again soon.
    BackingOff,
    /// It is built.
    Built,
    /// It is not, and will not be.
    Failed,
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

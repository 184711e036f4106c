//! A record as it is read.

use std::fmt::Display;

use polyarch_actors::{
    BuildError, BuildId, Digest, Timestamp,
    queue::{Priority, Tenant},
};
use rusqlite::Row;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::error::RecordsError;
use crate::{
    TimeLimits,
    queue::{About, BuildState, Key, Lane, Supersede, SupersedePolicy, build_name::build_id},
};

/// The columns that [`BuildRecord::read`] takes, in its order.
pub(super) const COLUMNS: &str = "id, tenant, state, priority, submitted, started, ended, attempt, identity, pinned, \
     supersede_key, policy, deadline, limits, submissions, cancel_requested, reason, error, about, \
     lanes, index_digest, losses";

/// What is known of a build, apart from its spec and its receipt, which are read on their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The build.
    pub id: BuildId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is at the moment.
    pub state: BuildState,
    /// Which builds of the tenant begin first.
    pub priority: Priority,
    /// When it was submitted first.
    pub submitted: Timestamp,
    /// When its last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it came to its final state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How often it was begun.
    pub attempt: u32,
    /// How often the process went away that built it, without stopping it first.
    pub losses: u32,
    /// The hash of its tenant and spec.
    pub identity: Digest,
    /// Whether what it reads of its contexts cannot change.
    pub pinned: bool,
    /// Which builds are about the same thing, and what it meant for the older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supersede: Option<Supersede>,
    /// When nobody wants it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How long it may take.
    pub limits: TimeLimits,
    /// How many submissions it serves.
    pub submissions: u32,
    /// When somebody asked to cancel it while it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested: Option<Timestamp>,
    /// One sentence on why it is in its state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why there is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<BuildError>,
    /// What it is about.
    pub about: About,
    /// How far its platforms were when it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lanes: Vec<Lane>,
    /// The digest of its index, when it has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
}

impl BuildRecord {
    /// Takes over what a later record of the same build has: it serves all who asked for it, so it is as urgent as the most
    /// urgent wants, and of use for as long as the most patient waits.
    pub(in crate::queue) fn serve_as_well(&mut self, other: &Self) {
        self.priority = self.priority.max(other.priority);
        self.deadline = self.deadline.zip(other.deadline).map(|(one, other)| one.max(other));
        self.submissions = self.submissions.max(other.submissions);
    }

    /// Reads a row of [`COLUMNS`].
    pub(super) fn read(row: &Row<'_>) -> Result<Self, RecordsError> {
        let id = build_id(&row.get::<_, String>(0)?);
        let odd = |what: &str| malformed(&id, format_args!("its {what} is unknown"));
        let time = |column| Ok::<_, RecordsError>(row.get::<_, Option<i64>>(column)?.map(timestamp));
        let key: Option<String> = row.get(10)?;
        let policy: Option<String> = row.get(11)?;
        let supersede = match (key, policy) {
            (Some(key), Some(policy)) => Some(Supersede {
                key: key.parse::<Key>().map_err(|error| malformed(&id, error))?,
                policy: SupersedePolicy::read(&policy).ok_or_else(|| odd("policy"))?,
            }),
            _ => None,
        };
        let (error, lanes): (Option<String>, Option<String>) = (row.get(17)?, row.get(19)?);
        let index: Option<String> = row.get(20)?;
        Ok(Self {
            tenant: row.get::<_, String>(1)?.parse().map_err(|error| malformed(&id, error))?,
            state: BuildState::read(&row.get::<_, String>(2)?).ok_or_else(|| odd("state"))?,
            priority: row.get::<_, i64>(3)?.try_into().map_err(|error| malformed(&id, error))?,
            submitted: timestamp(row.get(4)?),
            started: time(5)?,
            ended: time(6)?,
            attempt: row.get(7)?,
            losses: row.get(21)?,
            identity: digest(&id, &row.get::<_, String>(8)?)?,
            pinned: row.get(9)?,
            supersede,
            deadline: time(12)?,
            limits: from_json(&id, &row.get::<_, String>(13)?)?,
            submissions: row.get(14)?,
            cancel_requested: time(15)?,
            reason: row.get(16)?,
            error: error.map(|error| from_json(&id, &error)).transpose()?,
            about: from_json(&id, &row.get::<_, String>(18)?)?,
            lanes: lanes.map(|lanes| from_json(&id, &lanes)).transpose()?.unwrap_or_default(),
            index: index.map(|index| digest(&id, &index)).transpose()?,
            id,
        })
    }
}

/// A time as the database has it.
pub(super) fn milliseconds(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// A time as everybody else has it.
pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp(u64::try_from(milliseconds).unwrap_or_default())
}

pub(super) fn digest(id: &BuildId, text: &str) -> Result<Digest, RecordsError> {
    text.parse().map_err(|error| malformed(id, error))
}

pub(super) fn json(value: &impl Serialize) -> Result<String, RecordsError> {
    serde_json::to_string(value).map_err(|error| RecordsError::Failed { reason: error.to_string() })
}

pub(super) fn from_json<T: DeserializeOwned>(id: &BuildId, text: &str) -> Result<T, RecordsError> {
    serde_json::from_str(text).map_err(|error| malformed(id, error))
}

pub(super) fn malformed(id: &BuildId, reason: impl Display) -> RecordsError {
    RecordsError::Malformed { id: id.clone(), reason: reason.to_string() }
}

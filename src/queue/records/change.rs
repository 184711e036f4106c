//! What happens to a build after its submission. Each state that may be left is in the WHERE of its change, so two who
//! want to change the same build cannot both have done so.

use polyarch_actors::{BuildError, BuildId, Timestamp, queue::Tenant};
use rusqlite::{Connection, OptionalExtension as _, named_params, params};
use serde::{Deserialize, Serialize};

use super::{
    error::RecordsError,
    row::{json, malformed, milliseconds},
};
use crate::{
    Receipt,
    queue::{BuildState, Lane},
};

/// How a build ends. That it was superseded is told by the submission that supersedes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its index is where it should be. Only a build that runs can end so.
    Succeeded {
        /// What was done.
        receipt: Box<Receipt>,
    },
    /// It could not be built.
    Failed {
        /// Why not.
        error: BuildError,
        /// One sentence, for people.
        reason: String,
    },
    /// Somebody did not want it any more.
    Cancelled {
        /// One sentence, for people.
        reason: String,
    },
    /// It took too long, or its deadline passed.
    TimedOut {
        /// Which part took too long.
        error: BuildError,
        /// One sentence, for people.
        reason: String,
    },
    /// What built it went away and it is not begun again.
    Lost {
        /// One sentence, for people.
        reason: String,
    },
}

impl End {
    /// The state that it ends in.
    pub fn state(&self) -> BuildState {
        match self {
            Self::Succeeded { .. } => BuildState::Succeeded,
            Self::Failed { .. } => BuildState::Failed,
            Self::Cancelled { .. } => BuildState::Cancelled,
            Self::TimedOut { .. } => BuildState::TimedOut,
            Self::Lost { .. } => BuildState::Lost,
        }
    }
}

/// What became of a request to cancel a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CancelRequest {
    /// It waited, and is cancelled now. Its log has no end yet.
    Cancelled,
    /// It runs; whoever runs it is to end it.
    Noted,
    /// It had ended so before.
    Ended(BuildState),
}

/// What became of a build that was stopped, or whose process went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeued {
    /// It waits again.
    Queued,
    /// It ended instead: it was to be cancelled, or a newer build has its place. Its log has no end yet.
    Ended(BuildState),
    /// It did not run.
    NotRunning,
}

pub(super) fn begin(connection: &Connection, id: &BuildId, now: Timestamp) -> Result<bool, RecordsError> {
    let changed = connection
        .prepare_cached(
            "UPDATE builds SET state = 'running', started = ?2, attempt = attempt + 1
             WHERE id = ?1 AND state = 'queued'",
        )?
        .execute(params![id.as_str(), milliseconds(now)])?;
    Ok(changed == 1)
}

pub(super) fn end(
    connection: &Connection,
    id: &BuildId,
    end: &End,
    lanes: &[Lane],
    now: Timestamp,
) -> Result<bool, RecordsError> {
    let index = match end {
        End::Succeeded { receipt } => Some(receipt.index.digest.as_str()),
        _ => None,
    };
    let (reason, error, receipt) = match end {
        End::Succeeded { receipt } => (None, None, Some(json(receipt)?)),
        End::Failed { error, reason } | End::TimedOut { error, reason } => {
            (Some(reason), Some(json(error)?), None)
        }
        End::Cancelled { reason } | End::Lost { reason } => (Some(reason), None, None),
    };
    let changed = connection
        .prepare_cached(
            // Whoever asked to cancel it may have said why; an end of its own has its own reason.
            "UPDATE builds SET state = :state, ended = :now, error = :error,
             reason = CASE WHEN :state = 'cancelled' THEN coalesce(reason, :reason) ELSE :reason END,
             lanes = :lanes, index_digest = :index, receipt = :receipt
             WHERE id = :id AND (state = 'running' OR (state = 'queued' AND :state <> 'succeeded'))",
        )?
        .execute(named_params! {
            ":id": id.as_str(),
            ":state": end.state().as_str(),
            ":now": milliseconds(now),
            ":reason": reason,
            ":error": error,
            ":receipt": receipt,
            ":lanes": json(&lanes)?,
            ":index": index,
        })?;
    Ok(changed == 1)
}

/// `losses` is how often its process went away since it was begun.
pub(super) fn requeue(
    connection: &Connection,
    id: &BuildId,
    losses: u32,
    now: Timestamp,
) -> Result<Requeued, RecordsError> {
    // A newer build with the same key would have ended this one had it waited then. One that was superseded itself takes
    // nobody's place: whatever superseded it is newer too, or is this build.
    let state: Option<String> = connection
        .prepare_cached(
            "UPDATE builds SET losses = losses + ?2,
             state = CASE
                 WHEN cancel_requested IS NOT NULL THEN 'cancelled'
                 WHEN EXISTS (SELECT 1 FROM builds AS newer
                              WHERE newer.tenant = builds.tenant AND newer.supersede_key = builds.supersede_key
                              AND newer.number > builds.number AND newer.state <> 'superseded'
                              AND newer.policy IN ('latest-only', 'cancel-running')) THEN 'superseded'
                 ELSE 'queued' END
             WHERE id = ?1 AND state = 'running' RETURNING state",
        )?
        .query_row(params![id.as_str(), losses], |row| row.get(0))
        .optional()?;
    let Some(state) = state else { return Ok(Requeued::NotRunning) };
    let reason = match BuildState::read(&state) {
        Some(BuildState::Queued) => return Ok(Requeued::Queued),
        Some(BuildState::Cancelled) => "it was cancelled while it ran",
        Some(_) => "a newer build took its place",
        None => return Err(malformed(id, "its state is unknown")),
    };
    connection
        .prepare_cached("UPDATE builds SET ended = ?2, reason = coalesce(reason, ?3) WHERE id = ?1")?
        .execute(params![id.as_str(), milliseconds(now), reason])?;
    Ok(BuildState::read(&state).map_or(Requeued::NotRunning, Requeued::Ended))
}

pub(super) fn request_cancel(
    connection: &Connection,
    tenant: &Tenant,
    id: &BuildId,
    now: Timestamp,
) -> Result<CancelRequest, RecordsError> {
    let state: Option<String> = connection
        .prepare_cached("SELECT state FROM builds WHERE id = ?1 AND tenant = ?2")?
        .query_row([id.as_str(), tenant.as_str()], |row| row.get(0))
        .optional()?;
    let Some(state) = state else { return Err(RecordsError::NotFound { id: id.clone() }) };
    match BuildState::read(&state).ok_or_else(|| malformed(id, "its state is unknown"))? {
        BuildState::Queued => {
            connection
                .prepare_cached(
                    "UPDATE builds SET state = 'cancelled', ended = ?2, reason = ?3 WHERE id = ?1",
                )?
                .execute(params![id.as_str(), milliseconds(now), "it was cancelled before it began"])?;
            Ok(CancelRequest::Cancelled)
        }
        BuildState::Running => {
            connection
                .prepare_cached(
                    "UPDATE builds SET cancel_requested = coalesce(cancel_requested, ?2) WHERE id = ?1",
                )?
                .execute(params![id.as_str(), milliseconds(now)])?;
            Ok(CancelRequest::Noted)
        }
        ended => Ok(CancelRequest::Ended(ended)),
    }
}

/// Notes that the logs of these builds have their ends.
pub(super) fn told(connection: &Connection, ids: &[BuildId]) -> Result<(), RecordsError> {
    let mut statement = connection
        .prepare_cached("DELETE FROM untold WHERE build = (SELECT number FROM builds WHERE id = ?1)")?;
    for id in ids {
        statement.execute([id.as_str()])?;
    }
    Ok(())
}

/// Removes the records of builds that have ended, and returns which those were.
pub(super) fn forget(connection: &Connection, ids: &[BuildId]) -> Result<Vec<BuildId>, RecordsError> {
    let mut statement = connection
        .prepare_cached("DELETE FROM builds WHERE id = ?1 AND state NOT IN ('queued', 'running')")?;
    let mut gone = Vec::new();
    for id in ids {
        if statement.execute([id.as_str()])? == 1 {
            gone.push(id.clone());
        }
    }
    Ok(gone)
}

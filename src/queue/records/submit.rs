//! Submitting a build: one transaction that finds the build that serves it, or makes one, and ends what it supersedes.

use polyarch_actors::{BuildId, Digest};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::{
    error::RecordsError,
    read,
    row::{digest, json, milliseconds},
    submission::{How, Prepared, Submitted},
};
use crate::queue::{
    SupersedePolicy,
    build_name::build_id,
    identity::{from_json, identity, to_json},
};

/// A build that is there.
struct Found {
    number: i64,
    id: BuildId,
}

/// Submits a build. Only a new one takes a seat.
pub(super) fn submit<S>(
    connection: &Connection,
    new: &Prepared,
    seat: impl FnOnce() -> Option<S>,
) -> Result<(Submitted, Option<S>), RecordsError> {
    if let Some(id) = with_same_key(connection, new)? {
        let record = read::get(connection, &new.tenant, &id)?;
        let (superseded, to_cancel) = (Vec::new(), Vec::new());
        return Ok((Submitted { id, record, how: How::SameKey, superseded, to_cancel }, None));
    }
    let (build, how, seat) = if let Some(found) = identical(connection, new)? {
        attach(connection, new, &found)?;
        (found, How::Identical, None)
    } else {
        let seat = seat().ok_or(RecordsError::Full)?;
        (insert(connection, new)?, How::New, Some(seat))
    };
    if let Some(key) = &new.idempotency_key {
        connection
            .prepare_cached("INSERT INTO keys (tenant, key, build, request) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                new.tenant.as_str(),
                key.as_str(),
                build.number,
                new.request.as_ref().map(Digest::as_str)
            ])?;
    }
    let (superseded, to_cancel) = supersede(connection, new, &build)?;
    let record = read::get(connection, &new.tenant, &build.id)?;
    Ok((Submitted { id: build.id, record, how, superseded, to_cancel }, seat))
}

/// The build that has the key already.
fn with_same_key(connection: &Connection, new: &Prepared) -> Result<Option<BuildId>, RecordsError> {
    let Some(key) = &new.idempotency_key else { return Ok(None) };
    let found: Option<(String, String, String)> = connection
        .prepare_cached(
            "SELECT builds.id, builds.identity, builds.spec FROM keys JOIN builds ON builds.number = keys.build
             WHERE keys.tenant = ?1 AND keys.key = ?2",
        )?
        .query_row(params![new.tenant.as_str(), key.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((id, known, spec)) = found else { return Ok(None) };
    let id = build_id(&id);
    let same_now = || {
        // An older version may have written the same with fewer fields.
        let again = from_json(&spec).and_then(|spec| to_json(&spec));
        again.is_ok_and(|text| identity(&new.tenant, &text) == new.identity)
    };
    if digest(&id, &known)? != new.identity && !same_now() {
        return Err(RecordsError::KeyReused { key: key.clone(), id });
    }
    Ok(Some(id))
}

/// A build that serves the new submission too: what would end one of them early must be the same for both.
fn identical(connection: &Connection, new: &Prepared) -> Result<Option<Found>, RecordsError> {
    let found = connection
        .prepare_cached(
            "SELECT number, id FROM builds
             WHERE tenant = :tenant AND identity = :identity AND state IN ('queued', 'running')
             AND (state = 'queued' OR pinned) AND cancel_requested IS NULL
             AND limits = :limits AND supersede_key IS :key AND policy IS :policy
             ORDER BY number LIMIT 1",
        )?
        .query_row(
            named_params! {
                ":tenant": new.tenant.as_str(),
                ":identity": new.identity.as_str(),
                ":limits": json(&new.limits)?,
                ":key": key(new),
                ":policy": policy(new),
            },
            found,
        )
        .optional()?;
    Ok(found)
}

/// Has a build serve one more submission.
fn attach(connection: &Connection, new: &Prepared, build: &Found) -> Result<(), RecordsError> {
    connection
        .prepare_cached(
            "UPDATE builds SET submissions = submissions + 1, priority = max(priority, :priority),
             deadline = CASE WHEN deadline IS NULL OR :deadline IS NULL THEN NULL
                             ELSE max(deadline, :deadline) END
             WHERE number = :number",
        )?
        .execute(named_params! {
            ":priority": new.priority.get(),
            ":deadline": new.deadline.map(milliseconds),
            ":number": build.number,
        })?;
    Ok(())
}

fn insert(connection: &Connection, new: &Prepared) -> Result<Found, RecordsError> {
    connection
        .prepare_cached(
            "INSERT INTO builds
             (id, tenant, state, priority, submitted, identity, pinned, supersede_key, policy, deadline, limits,
              about, spec)
             VALUES (:id, :tenant, 'queued', :priority, :submitted, :identity, :pinned, :key, :policy, :deadline,
                     :limits, :about, :spec)",
        )?
        .execute(named_params! {
            ":id": new.id.as_str(),
            ":tenant": new.tenant.as_str(),
            ":priority": new.priority.get(),
            ":submitted": milliseconds(new.now),
            ":identity": new.identity.as_str(),
            ":pinned": new.pinned,
            ":key": key(new),
            ":policy": policy(new),
            ":deadline": new.deadline.map(milliseconds),
            ":limits": json(&new.limits)?,
            ":about": json(&new.about)?,
            ":spec": new.spec,
        })?;
    Ok(Found { number: connection.last_insert_rowid(), id: new.id.clone() })
}

/// Ends the other builds with the key that wait, and notes which of those that run are to be cancelled.
fn supersede(
    connection: &Connection,
    new: &Prepared,
    build: &Found,
) -> Result<(Vec<BuildId>, Vec<BuildId>), RecordsError> {
    let Some(supersede) = &new.supersede else { return Ok(Default::default()) };
    let (waiting, running) = match supersede.policy {
        SupersedePolicy::Parallel | SupersedePolicy::Serial => (false, false),
        SupersedePolicy::LatestOnly => (true, false),
        SupersedePolicy::CancelRunning => (true, true),
    };
    let others = |change: &str| -> Result<Vec<BuildId>, RecordsError> {
        let mut statement = connection.prepare_cached(change)?;
        let values = named_params! {
            ":tenant": new.tenant.as_str(),
            ":key": supersede.key.as_str(),
            ":number": build.number,
            ":now": milliseconds(new.now),
            ":reason": format!("build {} took its place", build.id),
        };
        let mut others = statement.query_map(values, found)?.collect::<Result<Vec<_>, _>>()?;
        // SQLite returns changed rows in no order.
        others.sort_by_key(|other| other.number);
        Ok(others.into_iter().map(|other| other.id).collect())
    };
    let superseded = if waiting {
        others(
            "UPDATE builds SET state = 'superseded', ended = :now, reason = :reason
             WHERE tenant = :tenant AND supersede_key = :key AND state = 'queued' AND number <> :number
             RETURNING number, id",
        )?
    } else {
        Vec::new()
    };
    let to_cancel = if running {
        others(
            "UPDATE builds SET cancel_requested = coalesce(cancel_requested, :now), reason = :reason
             WHERE tenant = :tenant AND supersede_key = :key AND state = 'running' AND number <> :number
             RETURNING number, id",
        )?
    } else {
        Vec::new()
    };
    Ok((superseded, to_cancel))
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    Ok(Found { number: row.get(0)?, id: build_id(&row.get::<_, String>(1)?) })
}

fn key(new: &Prepared) -> Option<&str> {
    new.supersede.as_ref().map(|supersede| supersede.key.as_str())
}

fn policy(new: &Prepared) -> Option<&'static str> {
    new.supersede.as_ref().map(|supersede| supersede.policy.as_str())
}

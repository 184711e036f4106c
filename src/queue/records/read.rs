//! Reading records.

use polyarch_actors::{BuildId, Digest, queue::Tenant};
use rusqlite::{Connection, OptionalExtension as _, ToSql};

use super::{
    error::RecordsError,
    row::{BuildRecord, COLUMNS, from_json, malformed, timestamp},
};
use crate::{
    BuildSpec, Receipt,
    queue::{BuildState, EndedBuild, Key, build_name::build_id, identity},
};

/// The most records on a page.
const LARGEST_PAGE: u32 = 500;

/// Which records are wanted, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Those of one tenant, or of all.
    pub tenant: Option<Tenant>,
    /// Those in one of these states, or in any where there are none.
    pub states: Vec<BuildState>,
    /// Those that were submitted before this one, which may have been forgotten meanwhile.
    pub before: Option<BuildId>,
    /// The most of them, from 1 to 500.
    pub most: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { tenant: None, states: Vec::new(), before: None, most: 50 }
    }
}

/// Some records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records, the newest first.
    pub records: Vec<BuildRecord>,
    /// What [`List::before`] is for the next page; absent when there is none.
    pub next: Option<BuildId>,
}

pub(super) fn get(
    connection: &Connection,
    tenant: &Tenant,
    id: &BuildId,
) -> Result<BuildRecord, RecordsError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM builds WHERE id = ?1 AND tenant = ?2"))?;
    let mut rows = statement.query([id.as_str(), tenant.as_str()])?;
    match rows.next()? {
        Some(row) => BuildRecord::read(row),
        None => Err(RecordsError::NotFound { id: id.clone() }),
    }
}

/// The build that a request with a key led to, where it was this request.
pub(super) fn replayed(
    connection: &Connection,
    tenant: &Tenant,
    key: &Key,
    request: &Digest,
) -> Result<Option<BuildRecord>, RecordsError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM builds
         WHERE number = (SELECT build FROM keys WHERE tenant = ?1 AND key = ?2 AND request = ?3)"
    ))?;
    let mut rows = statement.query([tenant.as_str(), key.as_str(), request.as_str()])?;
    rows.next()?.map(BuildRecord::read).transpose()
}

pub(super) fn spec(
    connection: &Connection,
    tenant: &Tenant,
    id: &BuildId,
) -> Result<BuildSpec, RecordsError> {
    let text: Option<String> = large(connection, "spec", tenant, id)?;
    let text = text.ok_or_else(|| malformed(id, "it has no spec"))?;
    identity::from_json(&text).map_err(|error| malformed(id, error))
}

pub(super) fn receipt(
    connection: &Connection,
    tenant: &Tenant,
    id: &BuildId,
) -> Result<Option<Receipt>, RecordsError> {
    large(connection, "receipt", tenant, id)?.map(|text| from_json(id, &text)).transpose()
}

fn large(
    connection: &Connection,
    column: &str,
    tenant: &Tenant,
    id: &BuildId,
) -> Result<Option<String>, RecordsError> {
    connection
        .prepare_cached(&format!("SELECT {column} FROM builds WHERE id = ?1 AND tenant = ?2"))?
        .query_row([id.as_str(), tenant.as_str()], |row| row.get(0))
        .optional()?
        .ok_or_else(|| RecordsError::NotFound { id: id.clone() })
}

/// The builds that wait or run, in the order of their submission.
pub(super) fn unfinished(connection: &Connection) -> Result<Vec<BuildRecord>, RecordsError> {
    those(connection, "state IN ('queued', 'running')")
}

pub(super) fn untold(connection: &Connection) -> Result<Vec<BuildRecord>, RecordsError> {
    those(connection, "number IN (SELECT build FROM untold)")
}

pub(super) fn is_told(connection: &Connection, id: &BuildId) -> Result<bool, RecordsError> {
    let told = connection
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM untold JOIN builds ON number = build WHERE id = ?1)",
        )?
        .query_row([id.as_str()], |row| row.get(0))?;
    Ok(told)
}

fn those(connection: &Connection, which: &str) -> Result<Vec<BuildRecord>, RecordsError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM builds WHERE {which} ORDER BY number"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(BuildRecord::read(row)?);
    }
    Ok(found)
}

pub(super) fn list(connection: &Connection, list: &List) -> Result<Page, RecordsError> {
    let most = list.most.clamp(1, LARGEST_PAGE);
    let mut wanted = vec!["TRUE".to_owned()];
    let mut values: Vec<&dyn ToSql> = Vec::new();
    let tenant = list.tenant.as_ref().map(Tenant::as_str);
    if let Some(tenant) = &tenant {
        values.push(tenant);
        wanted.push(format!("tenant = ?{}", values.len()));
    }
    let before = list.before.as_ref().map(BuildId::as_str);
    if let Some(before) = &before {
        values.push(before);
        let at = values.len();
        // Names of builds sort by time too.
        wanted.push(format!(
            "number < coalesce((SELECT number FROM builds WHERE id = ?{at}),
                               (SELECT min(number) FROM builds WHERE id > ?{at}), 9223372036854775807)"
        ));
    }
    if !list.states.is_empty() {
        let states: Vec<String> = list.states.iter().map(|state| format!("'{}'", state.as_str())).collect();
        wanted.push(format!("state IN ({})", states.join(", ")));
    }
    let wanted = wanted.join(" AND ");
    // One more than asked for tells whether there is another page.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM builds WHERE {wanted} ORDER BY number DESC LIMIT {}",
        most + 1
    ))?;
    let mut rows = statement.query(values.as_slice())?;
    let mut page = Page { records: Vec::new(), next: None };
    while let Some(row) = rows.next()? {
        if page.records.len() == most as usize {
            page.next = page.records.last().map(|record: &BuildRecord| record.id.clone());
            break;
        }
        page.records.push(BuildRecord::read(row)?);
    }
    Ok(page)
}

/// The builds that have ended, the oldest end first. The sizes of their logs are not known here.
pub(super) fn ended(connection: &Connection) -> Result<Vec<EndedBuild>, RecordsError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, tenant, ended FROM builds WHERE state NOT IN ('queued', 'running') ORDER BY ended, number",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = build_id(&row.get::<_, String>(0)?);
        let tenant = row.get::<_, String>(1)?.parse().map_err(|error| malformed(&id, error))?;
        found.push(EndedBuild { id, tenant, ended: timestamp(row.get(2)?), log_bytes: 0 });
    }
    Ok(found)
}

/// Which of these builds there are no records of.
pub(super) fn unknown(connection: &Connection, ids: Vec<BuildId>) -> Result<Vec<BuildId>, RecordsError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM builds WHERE id = ?1")?;
    let mut unknown = Vec::new();
    for id in ids {
        if !statement.exists([id.as_str()])? {
            unknown.push(id);
        }
    }
    Ok(unknown)
}

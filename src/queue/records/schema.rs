//! The form of the database, and opening it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::RecordsError;
use crate::queue::private;

/// The format of the database that this version writes.
const FORMAT: i64 = 1;
/// What SQLite keeps of whose database it is: `plyq` as a number.
const APPLICATION: i64 = 0x706c_7971;
/// How long another process may keep the database to itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before asking again for what SQLite does not wait for by itself.
const PAUSE: Duration = Duration::from_millis(10);

/// The tables. Large columns stand last, so that reading the others does not read them.
const TABLES: &str = "
CREATE TABLE builds (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    submitted INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    attempt INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    identity TEXT NOT NULL,
    pinned INTEGER NOT NULL,
    supersede_key TEXT,
    policy TEXT,
    deadline INTEGER,
    limits TEXT NOT NULL,
    submissions INTEGER NOT NULL DEFAULT 1,
    cancel_requested INTEGER,
    reason TEXT,
    error TEXT,
    about TEXT NOT NULL,
    lanes TEXT,
    index_digest TEXT,
    spec TEXT NOT NULL,
    receipt TEXT
) STRICT;
CREATE INDEX builds_of_tenant ON builds (tenant, number);
CREATE INDEX builds_in_state ON builds (state, tenant);
CREATE INDEX unfinished_builds ON builds (tenant, identity) WHERE state IN ('queued', 'running');
CREATE INDEX builds_with_key ON builds (tenant, supersede_key, number) WHERE supersede_key IS NOT NULL;
CREATE TABLE keys (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    build INTEGER NOT NULL REFERENCES builds (number) ON DELETE CASCADE,
    request TEXT,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_of_build ON keys (build);
CREATE TABLE untold (
    build INTEGER PRIMARY KEY REFERENCES builds (number) ON DELETE CASCADE
) STRICT;
CREATE TRIGGER ends_are_told AFTER UPDATE OF state ON builds WHEN NEW.state NOT IN ('queued', 'running')
BEGIN
    INSERT OR IGNORE INTO untold (build) VALUES (NEW.number);
END;
";

/// Opens the database to write it, and makes it where it is missing.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, RecordsError> {
    // Made here and not by SQLite, which lets others read what it makes; its further files are like the first.
    private::make_file(path)
        .map_err(|error| RecordsError::Unusable { path: path.to_owned(), reason: error.to_string() })?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Looked at before anything is changed in it.
    check(&connection, path)?;
    write_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have made the tables meanwhile.
    if check(&transaction, path)? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()?;
    Ok(connection)
}

/// Opens a database that is there, to read it.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, RecordsError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    match check(&connection, path)? {
        0 => Err(RecordsError::NotADatabase { path: path.to_owned() }),
        _ => Ok(connection),
    }
}

fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, RecordsError> {
    let unusable =
        |error: rusqlite::Error| RecordsError::Unusable { path: path.to_owned(), reason: error.to_string() };
    let connection =
        Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(unusable)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// The format of the database; 0 when nothing is in it.
fn check(connection: &Connection, path: &Path) -> Result<i64, RecordsError> {
    let not_a_database = || RecordsError::NotADatabase { path: path.to_owned() };
    // In one statement, as another process may be making the tables.
    let found = connection.query_row(
        "SELECT count(*), (SELECT application_id FROM pragma_application_id),
                (SELECT user_version FROM pragma_user_version) FROM sqlite_schema",
        [],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)),
    );
    let (tables, application, format) = match found {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            return Err(not_a_database());
        }
        found => found?,
    };
    match (application, format) {
        (APPLICATION, found) if found > FORMAT => {
            Err(RecordsError::Newer { path: path.to_owned(), found, known: FORMAT })
        }
        (APPLICATION, found) if found > 0 => Ok(found),
        (0, 0) if tables == 0 => Ok(0),
        _ => Err(not_a_database()),
    }
}

/// Has changes written beside the database first, so that readers wait for nobody.
///
/// SQLite does not wait by itself while another process does the same.
fn write_ahead(connection: &Connection) -> Result<(), RecordsError> {
    let asked = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let reason = format!("no write-ahead log is possible here (journal mode {mode})");
                return Err(RecordsError::Failed { reason });
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && asked.elapsed() < PATIENCE =>
            {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

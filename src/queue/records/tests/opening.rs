//! Opening the database, and faults of the disk.

use std::{fs, path::Path};

use rusqlite::Connection;

use super::{
    super::{RecordsError, RecordsReader, facade::Records, schema},
    *,
};

async fn refused(path: &Path) -> RecordsError {
    let before = fs::read(path).expect("a file");
    let error = Records::open(path).await.expect_err("it is no database of ours");
    assert_eq!(fs::read(path).expect("a file"), before, "it stays as it was");
    assert_eq!(RecordsReader::open(path).await.expect_err("to read neither"), error);
    error
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let records = Records::open(&path).await.expect("made");
    let id = records.submit(of("a")).await.expect("submitted").id;
    let record = records.get(&Tenant::default(), &id).await.expect("a record");
    drop(records);
    let records = Records::open(&path).await.expect("opened");
    assert_eq!(records.get(&Tenant::default(), &id).await.expect("a record"), record);
    let reader = RecordsReader::open(&path).await.expect("opened");
    assert_eq!(reader.unfinished().await.expect("records"), [record]);
    #[cfg(unix)]
    for file in fs::read_dir(folder.path()).expect("a folder") {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.expect("an entry").metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    drop(Records::open(&path).await.expect("made"));
    let connection = Connection::open(&path).expect("opened");
    connection.pragma_update(None, "user_version", 2).expect("changed");
    connection.close().expect("closed");
    let error = refused(&path).await;
    assert_eq!(error, RecordsError::Newer { path: path.clone(), found: 2, known: 1 });
    let sentence = "is in format 2, which a newer version of polyarch wrote (this one knows up to 1)";
    assert_eq!(error.to_string(), format!("{} {sentence}", path.display()));
}

#[tokio::test]
async fn a_file_that_is_no_database_of_builds_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let not_ours = RecordsError::NotADatabase { path: path.clone() };
    fs::write(&path, "no database, whatever its name says ".repeat(100)).expect("written");
    assert_eq!(refused(&path).await, not_ours);
    fs::remove_file(&path).expect("removed");
    let connection = Connection::open(&path).expect("opened");
    connection.execute_batch("CREATE TABLE other (column)").expect("made");
    connection.close().expect("closed");
    assert_eq!(refused(&path).await, not_ours);
}

/// Closing any handle of a file gives up all locks of POSIX that the process has on it.
///
/// Source: <https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_database_that_is_opened_twice_keeps_its_locks() {
    use nix::{
        fcntl::{FcntlArg, fcntl},
        libc::{F_RDLCK, F_WRLCK, SEEK_SET, flock},
    };

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let first = Records::open(&path).await.expect("made");
    first.submit(of("a")).await.expect("submitted");
    let second = Records::open(&path).await.expect("opened");
    second.submit(of("b")).await.expect("submitted");
    // A lock of an open file would be in the way of those of its own process too.
    let short = |number: i32| i16::try_from(number).expect("small");
    let mut wanted =
        flock { l_type: short(F_WRLCK), l_whence: short(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0 };
    let file = fs::File::open(&path).expect("opened");
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut wanted)).expect("asked");
    assert_eq!(wanted.l_type, short(F_RDLCK), "SQLite holds the database");
    drop((first, second, file));
}

#[tokio::test]
async fn a_folder_that_is_not_there_or_may_not_be_written_is_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("none").join("queue.db");
    let error = Records::open(&missing).await.expect_err("no folder");
    assert!(matches!(error, RecordsError::Unusable { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot use {}: ", missing.display())), "{error}");
    let error = RecordsReader::open(&missing).await.expect_err("no folder");
    assert!(matches!(error, RecordsError::Unusable { .. }), "{error}");
    // Nobody may make files there, not even root.
    #[cfg(target_os = "linux")]
    {
        let error = Records::open("/sys/queue.db").await.expect_err("read-only");
        assert!(matches!(error, RecordsError::Unusable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_full_disk_is_one_sentence_and_undoes_what_was_begun() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let connection = schema::open_to_write(&path).expect("made");
    // SQLite says of it what it says of a full disk.
    connection.pragma_update_and_check(None, "max_page_count", 40, |_| Ok(())).expect("limited");
    let records = Records::with(connection, &path).expect("started");
    let mut acknowledged = Vec::new();
    let error = loop {
        match records.submit(of(&format!("{} {}", acknowledged.len(), "x".repeat(3000)))).await {
            Ok(submitted) => acknowledged.push(submitted.id),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1000, "it is never full");
    };
    assert_eq!(error, RecordsError::NoSpace);
    assert_eq!(error.to_string(), "no space is left on the device that holds the records of builds");
    let found: Vec<BuildId> =
        records.unfinished().await.expect("records").into_iter().map(|record| record.id).collect();
    assert_eq!(found, acknowledged);
    let end = crate::queue::records::End::Lost { reason: "it was lost".into() };
    assert!(records.end(&acknowledged[0], end, vec![]).await.expect("ended"), "what takes no space goes on");
}

#[tokio::test]
async fn a_database_that_another_process_keeps_to_itself_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    let connection = schema::open_to_write(&path).expect("made");
    connection.busy_timeout(std::time::Duration::ZERO).expect("set");
    let records = Records::with(connection, &path).expect("started");
    let other = Connection::open(&path).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("begun");
    assert_eq!(records.submit(of("a")).await.expect_err("held"), RecordsError::Busy);
    other.execute_batch("ROLLBACK").expect("ended");
    records.submit(of("a")).await.expect("submitted");
}

#[tokio::test]
async fn a_database_that_may_only_be_read_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queue.db");
    drop(Records::open(&path).await.expect("made"));
    let connection = schema::open_to_read(&path).expect("opened");
    let records = Records::with(connection, &path).expect("started");
    let error = records.submit(of("a")).await.expect_err("read-only");
    assert!(matches!(error, RecordsError::ReadOnly { .. }), "{error}");
}

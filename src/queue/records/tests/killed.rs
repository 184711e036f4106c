//! A process that is killed in the middle of submissions.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::*;

/// Where the process works, and what tells its submissions from those of others.
const DATABASE: &str = "POLYARCH_TEST_QUEUE_DATABASE";
const NAME: &str = "POLYARCH_TEST_QUEUE_NAME";
/// How many submit at once.
const AT_ONCE: usize = 8;

/// Starts a process that submits builds until it is killed, or `most` of them, and prints the key and the build of each that was
/// acknowledged.
pub(super) fn start(database: &Path, name: &str, most: usize) -> Child {
    Command::new(env::current_exe().expect("this program"))
        .args([
            "--exact",
            "queue::records::tests::killed::the_process_that_submits",
            "--ignored",
            "--nocapture",
        ])
        .env(DATABASE, database)
        .env(NAME, format!("{name} {most}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("started")
}

/// What a process has acknowledged: builds by key.
pub(super) fn acknowledged(lines: impl Iterator<Item = String>) -> BTreeMap<String, String> {
    let words = lines.filter_map(|line| {
        let (key, id) = line.strip_prefix("submitted ")?.split_once(' ')?;
        Some((key.to_owned(), id.to_owned()))
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "other tests start it as a process, and kill it"]
async fn the_process_that_submits() {
    let (Some(database), Ok(name)) = (env::var_os(DATABASE), env::var(NAME)) else { return };
    let (name, most) = name.split_once(' ').expect("a name and a number");
    let most: usize = most.parse().expect("a number");
    let records = Records::open(PathBuf::from(database)).await.expect("open");
    let submit = async |worker: usize| {
        for number in (worker..most).step_by(AT_ONCE) {
            let text = format!("{name}-{number}");
            let id = records.submit(with_key(&text, of(&text))).await.expect("submitted").id;
            // One write a line, so that none is torn, and none behind what the test harness prints.
            let line = format!("\nsubmitted {text} {id}\n");
            std::io::stdout().lock().write_all(line.as_bytes()).expect("printed");
        }
    };
    futures::future::join_all((0..AT_ONCE).map(submit)).await;
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("queue.db");
    for round in 0..4_usize {
        let mut child = start(&database, &format!("round{round}"), usize::MAX);
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok).filter(|line| line.starts_with("submitted "));
        // It is killed at another moment each time, after some submissions.
        let first: Vec<String> = lines.by_ref().take(10 + 40 * round).collect();
        std::thread::sleep(Duration::from_millis(7 * round as u64));
        child.kill().expect("killed");
        child.wait().expect("gone");
        let all = acknowledged(first.into_iter().chain(lines));
        assert!(all.len() >= 10 + 40 * round, "{} were acknowledged", all.len());

        let records = Records::open(&database).await.expect("opened after the kill");
        let found = records.unfinished().await.expect("records");
        let mut ids: Vec<&str> = found.iter().map(|record| record.id.as_str()).collect();
        assert!(all.values().all(|id| ids.contains(&id.as_str())), "all that was acknowledged is there");
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        // Whoever was not told submits again, and makes nothing twice.
        for (key, id) in &all {
            let again = records.submit(with_key(key, of(key))).await.expect("submitted");
            assert_eq!((again.id.as_str(), again.how), (id.as_str(), How::SameKey));
        }
        assert_eq!(records.unfinished().await.expect("records").len(), count);
        let check = records.read(|connection| {
            Ok(connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))?)
        });
        assert_eq!(check.await.expect("checked"), "ok");
    }
}

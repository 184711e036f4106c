//! Two processes with one database.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
};

use super::{
    killed::{acknowledged, start},
    *,
};

/// How many builds each process submits.
const EACH: usize = 150;

#[tokio::test]
async fn two_processes_submit_at_once_and_nothing_is_lost_or_made_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("queue.db");
    // Two of them have the same keys, and so the same builds.
    let children: Vec<_> = ["a", "b", "a"].map(|name| start(&database, name, EACH)).into_iter().collect();
    let mut told = Vec::new();
    for mut child in children {
        let output = BufReader::new(child.stdout.take().expect("its output"));
        told.push(acknowledged(output.lines().map_while(Result::ok)));
        assert!(child.wait().expect("ended").success());
    }
    assert!(told.iter().all(|builds| builds.len() == EACH));
    assert_eq!(told[0], told[2], "one key is one build, whoever submits it");
    let ids: BTreeSet<&String> = told.iter().flat_map(|builds| builds.values()).collect();
    let records = Records::open(&database).await.expect("open");
    let found = records.unfinished().await.expect("records");
    assert_eq!((found.len(), ids.len()), (2 * EACH, 2 * EACH));
}

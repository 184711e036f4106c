//! Whose is what is noted.

use std::{fs, path::Path};

use super::{
    guid::Guid,
    journal::{Journal, Made},
};

fn journal(folder: &Path) -> Journal {
    Journal::open(&folder.join("journal"), folder).expect("a journal")
}

#[test]
fn what_a_living_process_has_made_is_nobody_elses_to_undo() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (journal(folder.path()), journal(folder.path()));
    let _note = one.note(&Made::System { id: one.system_id() }).expect("noted");
    let gate = Journal::gate(&folder.path().join("journal")).expect("the gate");
    assert!(other.left(&gate).expect("journals").is_empty());
    assert!(!other.is_left(&one.system_id(), &gate).expect("known"));
    assert!(!other.is_left(&other.system_id(), &gate).expect("known"));
}

#[test]
fn what_a_dead_process_has_made_is_found_in_the_order_in_which_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = journal(folder.path());
    let id = one.system_id();
    let all = [
        Made::Folder { path: "f".into() },
        Made::Layer { path: "l".into() },
        Made::Scratch { path: "s".into() },
        Made::Namespace { id: Guid([1; 16]) },
        Made::Endpoint { id: Guid([2; 16]), namespace: Some(Guid([1; 16])) },
        Made::System { id: id.clone() },
    ];
    for made in &all {
        one.note(made).expect("noted");
    }
    let gone = one.note(&Made::Folder { path: "gone".into() }).expect("noted");
    gone.remove().expect("gone");
    // A note that was being written.
    fs::write(one.root.join(&one.owner).join("99999999.json"), b"{\"made\":\"sys").expect("written");
    drop(one);
    let other = journal(folder.path());
    let gate = Journal::gate(&folder.path().join("journal")).expect("the gate");
    assert!(other.is_left(&id, &gate).expect("known"));
    let mut left = other.left(&gate).expect("journals");
    let left = left.pop().expect("one");
    let found: Vec<_> = left.made.iter().map(|(made, _)| made.clone()).rev().collect();
    assert_eq!(found, all);
}

#[test]
fn containers_of_others_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let here = journal(folder.path());
    let gate = Journal::gate(&folder.path().join("journal")).expect("the gate");
    let there = journal(elsewhere.path()).system_id();
    for id in [there.as_str(), "polyarch", "polyarch-x", "somebody", ""] {
        assert!(!here.is_left(id, &gate).expect("known"), "{id}");
    }
    let nobody = format!("polyarch-{}-dead-1", here.store);
    assert!(here.is_left(&nobody, &gate).expect("known"), "its journal is gone, and so is its owner");
}

#[test]
fn a_journal_without_notes_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("journal");
    drop(journal(folder.path()));
    let names: Vec<_> =
        fs::read_dir(&root).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["gate"]);
}

use std::fs;

use super::*;

fn packed(parts: &[Part]) -> (tempfile::TempDir, Result<Vec<u8>, BuildError>) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    let mut archive = Vec::new();
    let packed = pack(&store, parts, &mut archive);
    (folder, packed.map(|()| archive))
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("entries").map(|entry| entry.expect("an entry"));
    entries.map(|entry| String::from_utf8_lossy(&entry.path_bytes()).into_owned()).collect()
}

#[test]
fn a_context_is_sent_without_what_is_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b", "c"] {
        fs::write(folder.path().join(name), name).expect("written");
    }
    fs::hard_link(folder.path().join("a"), folder.path().join("d")).expect("linked");
    fs::write(folder.path().join(".dockerignore"), "b\n").expect("written");
    let part = |ignore: Option<&str>| Part {
        place: "context".into(),
        what: What::Context { folder: folder.path().to_owned(), ignore: ignore.map(str::to_owned) },
    };
    let archive = packed(&[part(None)]).1.expect("packed");
    assert_eq!(names(&archive), ["context/", "context/.dockerignore", "context/a", "context/c", "context/d"]);
    let mut read = tar::Archive::new(&archive[..]);
    let last = read.entries().expect("entries").map(|entry| entry.expect("an entry")).last().expect("one");
    assert_eq!(last.link_name().expect("a name").expect("a link").to_str(), Some("context/a"));
    // The ignore file of the Dockerfile alone counts instead.
    let archive = packed(&[part(Some("*\n!b\n"))]).1.expect("packed");
    assert_eq!(names(&archive), ["context/", "context/b"]);
}

#[test]
fn secrets_are_for_their_owner_and_in_no_message() {
    let part = Part { place: "secrets/0".into(), what: What::Private(b"hush".to_vec()) };
    assert!(!format!("{part:?}").contains("hush"));
    let archive = packed(&[part]).1.expect("packed");
    let mut archive = tar::Archive::new(&archive[..]);
    let entry = archive.entries().expect("entries").next().expect("one").expect("an entry");
    assert_eq!(entry.header().mode().expect("a mode"), 0o600);
}

#[test]
fn a_context_that_is_not_there_is_named() {
    let part =
        Part { place: "context".into(), what: What::Context { folder: "/nowhere".into(), ignore: None } };
    let error = packed(&[part]).1.expect_err("nothing there");
    assert!(matches!(&error, BuildError::Invalid { .. }), "{error:?}");
    assert!(error.to_string().contains("/nowhere"), "{error}");
}

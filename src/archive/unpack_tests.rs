use std::{fs, os::unix::fs::MetadataExt as _};

use super::*;

/// A member to be written.
struct Item<'i> {
    name: &'i str,
    kind: tar::EntryType,
    link: &'i str,
    body: &'i [u8],
    mode: u32,
}

fn file<'i>(name: &'i str, body: &'i [u8]) -> Item<'i> {
    Item { name, kind: tar::EntryType::Regular, link: "", body, mode: 0o644 }
}

fn item<'i>(name: &'i str, kind: tar::EntryType, link: &'i str) -> Item<'i> {
    Item { name, kind, link, body: b"", mode: 0o755 }
}

fn archive(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        // Written by hand: the crate refuses names that lead out.
        header.as_mut_bytes()[..item.name.len()].copy_from_slice(item.name.as_bytes());
        header.as_mut_bytes()[157..157 + item.link.len()].copy_from_slice(item.link.as_bytes());
        header.set_entry_type(item.kind);
        header.set_size(item.body.len() as u64);
        header.set_mode(item.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        header.set_cksum();
        builder.append(&header, item.body).expect("written");
    }
    builder.into_inner().expect("finished")
}

/// A folder with an empty folder `in` to unpack into.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("in")).expect("made");
    folder
}

fn unpack_in(folder: &tempfile::TempDir, items: &[Item<'_>]) -> Result<Unpacked, UnpackError> {
    let bytes = io::Cursor::new(archive(items));
    unpack(bytes, &folder.path().join("in"), Limits::default(), &CancellationToken::new())
}

#[test]
fn names_times_and_modes_are_kept() {
    let folder = folder();
    let directory = Item { mode: 0o500, ..item("d/", tar::EntryType::Directory, "") };
    let script = Item { mode: 0o4751, ..file("d/run", b"#!/bin/sh\n") };
    let items = [
        directory,
        script,
        item("d/again", tar::EntryType::Link, "d/run"),
        item("link", tar::EntryType::Symlink, "/etc/passwd"),
        item("null", tar::EntryType::Char, ""),
        item("pipe", tar::EntryType::Fifo, ""),
        file("without/parents/a", b"a"),
    ];
    let done = unpack_in(&folder, &items).expect("unpacked");
    assert_eq!(done, Unpacked { members: 7, devices: 1 });
    let look = |name: &str| fs::symlink_metadata(folder.path().join("in").join(name)).expect(name);
    assert_eq!(look("d").mode() & 0o7777, 0o700, "its owner can empty it");
    assert_eq!(
        (look("d").mtime(), look("d/run").mtime(), look("link").mtime()),
        (1_000_000, 1_000_000, 1_000_000)
    );
    assert_eq!(look("d/run").mode() & 0o7777, 0o4751);
    assert_eq!(look("d/run").ino(), look("d/again").ino());
    assert_eq!(fs::read_link(folder.path().join("in/link")).expect("a link"), Path::new("/etc/passwd"));
    assert!(!folder.path().join("in/null").exists());
    assert_eq!(fs::read(folder.path().join("in/without/parents/a")).expect("read"), b"a");
}

#[test]
fn nothing_is_written_outside() {
    for items in [
        vec![file("../outside", b"x"), file("/outside", b"x"), file("a/../../../outside", b"x")],
        vec![item("up", tar::EntryType::Symlink, ".."), file("up/outside", b"x")],
        vec![item("up", tar::EntryType::Symlink, ".."), item("up/made", tar::EntryType::Directory, "")],
        vec![file("a", b""), item("l", tar::EntryType::Symlink, "../outside"), file("l", b"x")],
        vec![item("l", tar::EntryType::Link, "../../etc/passwd")],
        vec![item("s", tar::EntryType::Symlink, "/etc"), item("l", tar::EntryType::Link, "s/passwd")],
    ] {
        let folder = folder();
        let _ = unpack_in(&folder, &items);
        let there: Vec<_> = fs::read_dir(folder.path()).expect("list").flatten().collect();
        assert_eq!(there.len(), 1, "{there:?}");
        let stolen = folder.path().join("in/l");
        assert!(fs::read(&stolen).is_ok_and(|text| text == b"x") || fs::symlink_metadata(&stolen).is_err());
    }
}

#[test]
fn a_member_behind_a_symbolic_link_is_refused_by_name() {
    let folder = folder();
    let items = [item("up", tar::EntryType::Symlink, ".."), file("up/outside", b"x")];
    let error = unpack_in(&folder, &items).expect_err("refused").to_string();
    assert!(error.contains("up/outside") && error.contains("symbolic link"), "{error}");
}

#[test]
fn a_later_member_takes_the_place_of_an_earlier_one() {
    let folder = folder();
    let directory = || item("d", tar::EntryType::Directory, "");
    unpack_in(&folder, &[file("a", b"1"), file("a", b"2"), directory(), file("d", b"3")]).expect("unpacked");
    assert_eq!(fs::read(folder.path().join("in/a")).expect("read"), b"2");
    assert_eq!(fs::read(folder.path().join("in/d")).expect("read"), b"3");
    let error = unpack_in(&folder, &[directory(), file("d/x", b""), file("d", b"")]).expect_err("full");
    assert!(error.to_string().contains("not empty"), "{error}");
}

#[test]
fn what_holds_too_much_is_given_up() {
    let items = [file("a", &[0; 700]), file("b", &[0; 700])];
    for (limits, words) in [
        (Limits { members: 1, ..Limits::default() }, "more than 1 members"),
        (Limits { bytes: 1000, ..Limits::default() }, "more than 1000 bytes"),
        (Limits { names: 65, ..Limits::default() }, "more memory"),
    ] {
        let folder = folder();
        let bytes = io::Cursor::new(archive(&items));
        let end = unpack(bytes, &folder.path().join("in"), limits, &CancellationToken::new());
        assert!(end.expect_err("too much").to_string().contains(words), "{words}");
    }
    let folder = folder();
    let bytes = archive(&items);
    let cut = io::Cursor::new(bytes[..800].to_vec());
    let end = unpack(cut, &folder.path().join("in"), Limits::default(), &CancellationToken::new());
    assert!(end.expect_err("cut").to_string().contains("cut off"));
    let cancel = CancellationToken::new();
    cancel.cancel();
    let end = unpack(io::Cursor::new(bytes), &folder.path().join("in"), Limits::default(), &cancel);
    assert!(matches!(end, Err(UnpackError::Cancelled)));
}

#[test]
fn zeros_take_no_disk() {
    let folder = folder();
    let mut body = vec![0; 8 << 20];
    body[5 << 20] = 7;
    unpack_in(&folder, &[file("a", &body), file("z", &body[..1 << 20])]).expect("unpacked");
    let path = folder.path().join("in/a");
    assert!(fs::read(&path).expect("read") == body);
    assert_eq!(fs::metadata(folder.path().join("in/z")).expect("there").len(), 1 << 20);
    let taken = fs::metadata(&path).expect("there").blocks() * 512;
    assert!(taken < 1 << 20, "{taken}");
}

proptest::proptest! {
    #[test]
    fn no_archive_writes_outside_its_folder(
        members in proptest::collection::vec(
            ("(\\.\\./|/|)(a|b|l|\\.\\.)(/(a|b|l|\\.\\.|out))?", 0..4_u8, "(/|\\.\\./|)(a|b|l|\\.\\.|out)(/\\.\\.)?"),
            1..12,
        ),
    ) {
        use tar::EntryType::{Directory, Link, Regular, Symlink};
        let folder = folder();
        fs::write(folder.path().join("out"), "mine").expect("written");
        let kinds = [Regular, Directory, Symlink, Link];
        let items: Vec<Item<'_>> = members
            .iter()
            .map(|(name, kind, link)| {
                let kind = kinds[usize::from(*kind)];
                Item { name, kind, link, body: if kind == Regular { b"x" } else { b"" }, mode: 0o644 }
            })
            .collect();
        let _ = unpack_in(&folder, &items);
        proptest::prop_assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 2);
        proptest::prop_assert_eq!(fs::read(folder.path().join("out")).expect("read"), b"mine");
        proptest::prop_assert_eq!(fs::metadata(folder.path().join("out")).expect("there").nlink(), 1);
    }
}

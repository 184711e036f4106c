use std::{collections::BTreeMap, io::Read as _};

use base64::Engine as _;
use polyarch_actors::ImageOs;

use super::{
    super::{Compression, EntryKind, LayerEntry, LayerError, LayerOptions, LayerWriter},
    fold, unfit,
};
use crate::oci::Store;

/// One member, as the `tar` crate reads it.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    name: String,
    mode: u32,
    link: Option<String>,
    records: BTreeMap<String, String>,
}

fn entry<'e>(name: &'e str, kind: EntryKind<'e>) -> LayerEntry<'e> {
    LayerEntry {
        name: name.as_bytes(),
        kind,
        mode: 0o755,
        uid: 1000,
        gid: 1000,
        mtime: 1_700_000_000,
        xattrs: &[],
    }
}

fn writer(store: &Store) -> LayerWriter {
    let options =
        LayerOptions { os: ImageOs::Windows, compression: Compression::None, ..LayerOptions::default() };
    LayerWriter::new(store, options).expect("a layer")
}

fn members(store: &Store, writer: LayerWriter) -> Vec<Read> {
    let layer = writer.finish().expect("finished");
    let mut bytes = Vec::new();
    store.open_blob(&layer.digest).expect("there").read_to_end(&mut bytes).expect("read");
    let mut archive = tar::Archive::new(bytes.as_slice());
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("a member");
        assert_eq!(entry.header().uid().expect("an owner"), 0);
        let link = entry.link_name().expect("a link").map(|link| link.display().to_string());
        let records = entry.pax_extensions().expect("records").map_or_else(BTreeMap::new, |records| {
            let records = records.map(|record| record.expect("a record"));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            records.map(|record| (text(record.key_bytes()), text(record.value_bytes()))).collect()
        });
        let name = entry.path().expect("a name").display().to_string();
        Read { name, mode: entry.header().mode().expect("a mode"), link, records }
    };
    archive.entries().expect("members").map(read).collect()
}

fn records(attributes: &str, created: &str, security: Option<&str>) -> BTreeMap<String, String> {
    let security = security.map(|security| ("MSWINDOWS.rawsd".to_owned(), security.to_owned()));
    [("MSWINDOWS.fileattr", attributes), ("LIBARCHIVE.creationtime", created)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(security)
        .collect()
}

/// As BuildKit's `util/winlayers/differ.go` has them.
const OF_DIRECTORY: &str = "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgCoAAcAAAAAAxgA/wEfAAECAAAAAAAFIAAAACACAAAAAxQA/wEfAAEBAAAAAAAFEgAAAAAAGAD/AR8AAQIAAAAAAAUgAAAAIAIAAAALFAAAAAAQAQEAAAAAAAMAAAAAAAMYAKkAEgABAgAAAAAABSAAAAAhAgAAAAIYAAQAAAABAgAAAAAABSAAAAAhAgAAAAIYAAIAAAABAgAAAAAABSAAAAAhAgAA";
const OF_FILE: &str = "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAAAAAFIAAAACACAAAAABQA/wEfAAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA==";

#[test]
fn a_layer_for_windows_says_what_windows_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let mut layer = writer(&store);
    layer.append(&entry("app", EntryKind::Directory), &b""[..]).expect("appended");
    layer.append(&entry("app/a.exe", EntryKind::File { size: 2 }), &b"MZ"[..]).expect("appended");
    layer
        .append(&entry("app/b.exe", EntryKind::HardLink { target: b"app/a.exe" }), &b""[..])
        .expect("appended");
    layer.whiteout(b"app/old.exe").expect("deleted");
    let read = |name: &str, mode, link: Option<&str>, records| Read {
        name: name.into(),
        mode,
        link: link.map(str::to_owned),
        records,
    };
    let created = "1700000000.000000000";
    assert_eq!(
        members(&store, layer),
        [
            read("Files/", 0o040_755, None, records("16", "0.000000000", None)),
            read("Hives/", 0o040_755, None, records("16", "0.000000000", None)),
            read("Files/app/", 0o040_755, None, records("16", created, Some(OF_DIRECTORY))),
            read("Files/app/a.exe", 0o100_755, None, records("32", created, Some(OF_FILE))),
            read("Files/app/b.exe", 0o755, Some("Files/app/a.exe"), BTreeMap::new()),
            read("Files/app/.wh.old.exe", 0o100_000, None, records("32", "0.000000000", Some(OF_FILE))),
        ]
    );
}

#[test]
fn what_a_layer_of_windows_said_of_a_file_is_said_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let mut layer = writer(&store);
    let said = [
        (b"MSWINDOWS.fileattr".to_vec(), b"17".to_vec()),
        (b"MSWINDOWS.rawsd".to_vec(), b"AQAEgA==".to_vec()),
        (b"user.linux".to_vec(), b"x".to_vec()),
    ];
    let directory = LayerEntry { xattrs: &said, ..entry("Windows", EntryKind::Directory) };
    layer.append(&directory, &b""[..]).expect("appended");
    let found = members(&store, layer).pop().expect("a member").records;
    assert_eq!(found, records("17", "1700000000.000000000", Some("AQAEgA==")));
}

#[test]
fn a_link_that_came_from_windows_leads_on_from_the_drive() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let mut layer = writer(&store);
    let said = |attributes: &str| {
        vec![
            (b"MSWINDOWS.fileattr".to_vec(), attributes.as_bytes().to_vec()),
            (b"MSWINDOWS.mountpoint".to_vec(), b"1".to_vec()),
            (b"MSWINDOWS.sd".to_vec(), b"O:BA".to_vec()),
            (b"MSWINDOWS.xattr.LX".to_vec(), b"eHk=".to_vec()),
        ]
    };
    let (of_directory, of_file) = (said("1040"), said("1056"));
    for (name, target, xattrs) in
        [("a", "/Users/x", &of_directory), ("b", "..\\x/y", &of_file), ("c", "\\\\host/share", &of_file)]
    {
        let entry = LayerEntry { xattrs, ..entry(name, EntryKind::Symlink { target: target.as_bytes() }) };
        layer.append(&entry, &b""[..]).expect("appended");
    }
    let plain = entry("d", EntryKind::Symlink { target: b"x" });
    let unknown = said("16");
    let unknown = LayerEntry { xattrs: &unknown, ..plain };
    assert!(writer(&store).append(&unknown, &b""[..]).is_err(), "no attributes of a link");
    let members = members(&store, layer);
    let links: Vec<_> = members.iter().filter_map(|member| member.link.as_deref()).collect();
    assert_eq!(links, [r"C:\Users\x", r"..\x\y", r"\\host\share"]);
    let (first, last) = (&members[2], &members[4]);
    assert_eq!(first.records["MSWINDOWS.mountpoint"], "1");
    assert_eq!(first.records["MSWINDOWS.xattr.LX"], "eHk=");
    assert_eq!((first.records["MSWINDOWS.fileattr"].as_str(), first.mode), ("1040", 0o120_777));
    assert!(!first.records.contains_key("MSWINDOWS.sd"), "nobody reads it beside the other");
    assert_eq!(first.records["MSWINDOWS.rawsd"], OF_DIRECTORY);
    assert_eq!(last.records["MSWINDOWS.rawsd"], OF_FILE);
}

/// Security descriptors as bytes: [MS-DTYP], 2.4.6 and 2.4.5.
#[test]
fn administrators_own_what_is_copied_and_users_read_it() {
    for (text, entries) in [(OF_DIRECTORY, 7), (OF_FILE, 3)] {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        let number =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        // Revision 1, self-relative, with a list of rights; the owner, the group, no audit, the rights.
        assert_eq!(&bytes[..4], [1, 0, 4, 0x80]);
        let (owner, group, rights) = (number(4), number(8), number(16));
        assert_eq!(
            &bytes[owner..owner + 16],
            [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0],
            "S-1-5-32-544"
        );
        assert_eq!(&bytes[group..group + 12], [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0], "S-1-5-18");
        assert_eq!(number(12), 0);
        assert_eq!(
            usize::from(bytes[rights + 2]) | usize::from(bytes[rights + 3]) << 8,
            bytes.len() - rights
        );
        assert_eq!(bytes[rights + 4], entries);
    }
}

#[test]
fn what_windows_has_no_name_or_no_thing_for_is_in_no_layer() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let file = |name| entry(name, EntryKind::File { size: 0 });
    for (refused, reason) in [
        (file("app/con"), "the name of a device"),
        (file("NUL.txt/x"), "the name of a device"),
        (file("app/a:b"), "a stream of the file"),
        (entry("app/link", EntryKind::Symlink { target: b"a" }), "it is a symbolic link"),
        (entry("app/pipe", EntryKind::Fifo), "no named pipes"),
        (entry("app/null", EntryKind::CharDevice { major: 1, minor: 3 }), "no named pipes"),
        (entry("app/x", EntryKind::HardLink { target: b"app/aux" }), "the name of a device"),
    ] {
        let error = writer(&store).append(&refused, &b""[..]).expect_err("refused").to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(matches!(writer(&store).opaque(b"app"), Err(LayerError::Name { .. })));
    assert!(matches!(writer(&store).whiteout(b"app/com1"), Err(LayerError::Name { .. })));
}

#[test]
fn names_are_those_that_windows_has() {
    for name in [
        "a",
        "a.b",
        ".gitignore",
        "COM",
        "COM10",
        "console",
        "null",
        "lpt",
        "a b",
        "-",
        "ümlaut.txt",
        "auxiliary",
        "CLOCK",
    ] {
        assert_eq!(unfit(name.as_bytes()), None, "{name}");
    }
    for (name, reason) in [
        ("", "no plain path"),
        ("..", "no plain path"),
        ("CON", "device"),
        ("nul.tar.gz", "device"),
        ("Aux .txt", "device"),
        ("com1", "device"),
        ("LPT9.log", "device"),
        ("COM\u{b9}", "device"),
        ("conin$", "device"),
        ("x:y", "stream"),
        ("x.", "drops dots and spaces"),
        ("x ", "drops dots and spaces"),
        ("...", "drops dots and spaces"),
        ("a<b", "control characters"),
        ("a\\b", "control characters"),
        ("a\"b", "control characters"),
        ("a|b", "control characters"),
        ("what?", "control characters"),
        ("*", "control characters"),
        ("a\tb", "control characters"),
        ("a\0b", "control characters"),
    ] {
        let found = unfit(name.as_bytes()).unwrap_or_else(|| panic!("{name:?} is accepted"));
        assert!(found.contains(reason), "{name:?}: {found}");
    }
    assert!(unfit(b"\xff").is_some_and(|reason| reason.contains("UTF-8")));
    assert_eq!(unfit("x".repeat(255).as_bytes()), None);
    assert!(unfit("x".repeat(256).as_bytes()).is_some_and(|reason| reason.contains("255")));
}

#[test]
fn paths_are_compared_letter_by_letter() {
    assert_eq!(fold(b"Program Files/x"), fold(b"PROGRAM files/X"));
    assert_eq!(fold("Ärger".as_bytes()), fold("ärger".as_bytes()));
    assert_ne!(fold("straße".as_bytes()), fold(b"strasse"), "Windows keeps them apart");
}

use std::io::Read as _;

use super::*;
use proptest::prelude::*;

const FILE: LayerEntry<'_> = LayerEntry {
    name: b"file",
    kind: EntryKind::File { size: 0 },
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
    xattrs: &[],
};

fn written(entry: &LayerEntry<'_>) -> Vec<u8> {
    let mut archive = Vec::new();
    write(entry, &mut archive);
    assert_eq!(archive.len() % BLOCK, 0);
    archive
}

/// The records before an entry, as `key=value`.
fn records(archive: &[u8]) -> Vec<String> {
    if archive[156] != b'x' {
        return Vec::new();
    }
    let size = std::str::from_utf8(&archive[124..135]).expect("digits");
    let mut body = &archive[BLOCK..][..usize::from_str_radix(size, 8).expect("octal")];
    let mut records = Vec::new();
    while !body.is_empty() {
        let space = body.iter().position(|byte| *byte == b' ').expect("a space");
        let length: usize = std::str::from_utf8(&body[..space]).expect("digits").parse().expect("a number");
        let (record, rest) = body.split_at(length);
        assert_eq!(record.last(), Some(&b'\n'));
        records.push(String::from_utf8_lossy(&record[space + 1..length - 1]).into_owned());
        body = rest;
    }
    records
}

/// What the `tar` crate reads.
fn read_back(mut archive: Vec<u8>, check: impl FnOnce(&mut tar::Entry<'_, &[u8]>)) {
    archive.resize(archive.len() + 2 * BLOCK, 0);
    let mut archive = tar::Archive::new(&*archive);
    let mut entries = archive.entries().expect("entries");
    check(&mut entries.next().expect("an entry").expect("readable"));
}

#[test]
fn a_plain_file_is_one_ustar_header_with_fixed_fields() {
    let entry =
        LayerEntry { kind: EntryKind::File { size: 0o1234 }, uid: 0o17, gid: 0o20, mtime: 0o777, ..FILE };
    let archive = written(&entry);
    let mut expected = vec![0; BLOCK];
    for (at, text) in [
        (0, &b"file"[..]),
        (100, b"0000644\x000000017\x000000020\x0000000001234\x0000000000777\x00"),
        (148, b"010106\x00 0"),
        (257, b"ustar\x0000"),
        (329, b"0000000\x000000000\x00"),
    ] {
        expected[at..at + text.len()].copy_from_slice(text);
    }
    assert_eq!(archive, expected);
}

#[test]
fn a_name_uses_the_prefix_where_it_can_and_a_record_where_it_must() {
    let (ten, hundred) = ("d".repeat(10), "f".repeat(100));
    for (name, expected) in [
        ("f".repeat(100), None),
        (format!("{ten}/{hundred}"), None),
        (format!("{}/{hundred}", "d".repeat(155)), None),
        ("f".repeat(101), Some("f".repeat(101))),
        (format!("{ten}/{hundred}f"), Some(format!("{ten}/{hundred}f"))),
        (format!("{}/{hundred}", "d".repeat(156)), Some(format!("{}/{hundred}", "d".repeat(156)))),
        ("é".to_owned(), Some("é".to_owned())),
    ] {
        let archive = written(&LayerEntry { name: name.as_bytes(), ..FILE });
        let expected: Vec<String> = expected.into_iter().map(|name| format!("path={name}")).collect();
        assert_eq!(records(&archive), expected, "{name}");
        read_back(archive, |entry| assert_eq!(*entry.path_bytes(), *name.as_bytes()));
    }
    // The slash that a directory ends with counts too, and never parts a name.
    let name = format!("{}/{}", "d".repeat(60), "e".repeat(99));
    let archive = written(&LayerEntry { name: name.as_bytes(), kind: EntryKind::Directory, ..FILE });
    assert_eq!(records(&archive), [""; 0]);
    read_back(archive, |entry| assert_eq!(*entry.path_bytes(), *format!("{name}/").as_bytes()));
    let archive = written(&LayerEntry { name: &[b'd'; 100], kind: EntryKind::Directory, ..FILE });
    assert_eq!(records(&archive).len(), 1);
}

#[test]
fn numbers_that_do_not_fit_are_records() {
    let most = LayerEntry {
        kind: EntryKind::File { size: MOST_11 },
        uid: MOST_7,
        gid: MOST_7,
        mtime: i64::try_from(MOST_11).expect("small"),
        ..FILE
    };
    assert_eq!(records(&written(&most)), [""; 0]);
    let more = LayerEntry {
        kind: EntryKind::File { size: 9 << 30 },
        uid: MOST_7 + 1,
        gid: u64::from(u32::MAX),
        mtime: -1,
        ..FILE
    };
    let archive = written(&more);
    assert_eq!(records(&archive), ["gid=4294967295", "mtime=-1", "size=9663676416", "uid=2097152"]);
    read_back(archive, |entry| {
        assert_eq!(entry.size(), 9 << 30);
        assert_eq!(entry.header().uid().expect("a number"), 2_097_152);
    });
}

#[test]
fn every_kind_has_its_flag_and_its_fields() {
    let long = [b't'; 101];
    for (kind, flag, link, device) in [
        (EntryKind::File { size: 1 }, b'0', None, None),
        (EntryKind::HardLink { target: b"a/b" }, b'1', Some(&b"a/b"[..]), None),
        (EntryKind::Symlink { target: b"/a/../b/" }, b'2', Some(b"/a/../b/"), None),
        (EntryKind::Symlink { target: &long }, b'2', Some(&long), None),
        (EntryKind::Symlink { target: b"\xff\xfe" }, b'2', Some(b"\xff\xfe"), None),
        (EntryKind::CharDevice { major: 1, minor: 3 }, b'3', None, Some((1, 3))),
        (EntryKind::BlockDevice { major: 259, minor: 65_537 }, b'4', None, Some((259, 65_537))),
        (EntryKind::Directory, b'5', None, None),
        (EntryKind::Fifo, b'6', None, None),
    ] {
        read_back(written(&LayerEntry { kind, ..FILE }), |entry| {
            assert_eq!(entry.header().entry_type().as_byte(), flag);
            assert_eq!(entry.link_name_bytes().as_deref().filter(|name| !name.is_empty()), link, "{kind:?}");
            if let Some((major, minor)) = device {
                assert_eq!(entry.header().device_major().expect("a number"), Some(major));
                assert_eq!(entry.header().device_minor().expect("a number"), Some(minor));
            }
        });
    }
}

#[test]
fn extended_attributes_keep_every_byte() {
    let xattrs = [
        (b"security.capability".to_vec(), b"\x01\x00\x00\x02\xff\n=".to_vec()),
        (b"user.empty".to_vec(), Vec::new()),
    ];
    let archive = written(&LayerEntry { xattrs: &xattrs, ..FILE });
    let expected = [
        &b"44 SCHILY.xattr.security.capability=\x01\x00\x00\x02\xff\n=\n"[..],
        b"28 SCHILY.xattr.user.empty=\n",
    ];
    assert_eq!(&archive[..17], b"PaxHeaders.0/file");
    assert_eq!(archive[BLOCK..][..72], *expected.concat());
    assert_eq!(archive.len(), 3 * BLOCK);
}

#[test]
fn a_record_counts_the_digits_of_its_own_length() {
    for value in 0..2000 {
        let mut body = Vec::new();
        record(b"path", &vec![b'x'; value], &mut body);
        let space = body.iter().position(|byte| *byte == b' ').expect("a space");
        let length: usize = std::str::from_utf8(&body[..space]).expect("digits").parse().expect("a number");
        assert_eq!(length, body.len());
    }
}

proptest! {
    #[test]
    fn any_name_and_any_number_comes_back(
        name in prop::collection::vec("[a-z\u{e9}]{1,90}", 1..6),
        raw: bool,
        size in 0_u64..1 << 40,
        ids in (0_u64..u64::from(u32::MAX), 0_u64..u64::from(u32::MAX)),
        mtime in -5_i64..1 << 40,
    ) {
        let mut name = name.join("/").into_bytes();
        if raw {
            name.push(0xff);
        }
        let kind = EntryKind::File { size };
        let archive = written(&LayerEntry { name: &name, kind, uid: ids.0, gid: ids.1, mtime, ..FILE });
        let records = records(&archive);
        let number = |key: &str| records.iter().find_map(|record| record.strip_prefix(key).map(str::to_owned));
        read_back(archive, |entry| {
            assert_eq!(&*entry.path_bytes(), &*name);
            assert_eq!(entry.size(), size);
            let header = entry.header();
            let mut buffer = String::new();
            assert_eq!((header.uid().expect("a number"), header.gid().expect("a number")), ids);
            let kept = number("mtime=").map(|time| time.parse().expect("a number"));
            assert_eq!(kept.unwrap_or(header.mtime().expect("a number").cast_signed()), mtime);
            if size == 0 {
                entry.read_to_string(&mut buffer).expect("read");
            }
        });
    }
}

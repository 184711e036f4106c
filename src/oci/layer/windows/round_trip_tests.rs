//! Layers that are made of what was made of layers are the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

use proptest::prelude::*;

use super::{
    export::ExportOptions,
    import::{Form, Place},
    support::{Kind, Tape, archive_of, exported, made_of, made_of_bytes, tape_in},
};
use crate::oci::Store;

/// What may be at a path.
#[derive(Clone, Debug)]
enum Item {
    File { content: Vec<u8>, stream: Option<Vec<u8>>, value: Option<Vec<u8>>, is_secure: bool },
    Link { target: &'static str, is_directory: bool, is_mount_point: bool },
    Other,
    Deletion,
}

fn item() -> impl Strategy<Value = Item> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..600);
    let some = move || prop::option::of(bytes());
    let link =
        (0..3_usize, any::<bool>(), any::<bool>()).prop_map(|(target, is_directory, is_mount_point)| {
            let target = [r"C:\x", r"\\?\Volume{1}\", r"D:\y\z"][target];
            Item::Link { target, is_directory: is_directory || is_mount_point, is_mount_point }
        });
    prop_oneof![
        4 => (bytes(), some(), some(), any::<bool>()).prop_map(|(content, stream, value, is_secure)| {
            Item::File { content, stream, value, is_secure }
        }),
        1 => link,
        1 => Just(Item::Other),
        1 => Just(Item::Deletion),
    ]
}

/// A layer in which directories come first, as every layer has them.
fn layer(items: BTreeMap<Vec<u8>, Item>) -> Tape {
    const NAMES: [&str; 6] = ["a", "B", "c d", "ü", "e.txt", "$f"];
    let mut tape = Tape::begun();
    let mut directories: BTreeSet<String> = BTreeSet::new();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let path = |indexes: &[u8]| {
        let names = indexes.iter().map(|index| NAMES[usize::from(*index) % NAMES.len()]);
        ["Files"].into_iter().chain(names).collect::<Vec<_>>().join("/")
    };
    // Deeper ones first, so that what is above them is a directory.
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort_by_key(|(indexes, _)| std::cmp::Reverse(indexes.len()));
    let mut chosen = Vec::new();
    for (indexes, item) in items {
        let at = path(&indexes);
        if directories.contains(&at) || !taken.insert(at.clone()) {
            continue;
        }
        directories.extend((1..indexes.len()).map(|length| path(&indexes[..length])));
        chosen.push((at, item));
    }
    let (attributes, created) = ("MSWINDOWS.fileattr", "LIBARCHIVE.creationtime");
    for directory in &directories {
        tape = tape.with(directory, Kind::Directory).said(attributes, "16").said(created, "5.000000100");
    }
    for (at, item) in chosen {
        let (parent, name) = at.rsplit_once('/').expect("a parent");
        tape = match item {
            Item::File { content, stream, value, is_secure } => {
                tape = tape.with(&at, Kind::File(content));
                tape = tape.said(attributes, "34").said(created, "-5.500000000");
                if let Some(value) = value {
                    let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
                    tape = tape.said("MSWINDOWS.xattr.LX", &value);
                }
                if is_secure {
                    tape = tape.said("MSWINDOWS.rawsd", "AQAEgAAAAAAAAAAAAAAAAAAAAAA=");
                }
                match stream {
                    Some(stream) => tape.with(&format!("{at}:\u{5}s"), Kind::File(stream)),
                    None => tape,
                }
            }
            Item::Link { target, is_directory, is_mount_point } => {
                tape = tape.with(&at, Kind::Symlink(target.to_owned())).said(created, "7.000000000");
                tape = tape.said(attributes, if is_directory { "1040" } else { "1056" });
                if is_mount_point { tape.said("MSWINDOWS.mountpoint", "1") } else { tape }
            }
            Item::Other => {
                tape = tape.with(&at, Kind::File(b"several names".to_vec()));
                tape = tape.said(attributes, "32").said(created, "7.000000000");
                // The name that comes first is that of the file.
                tape.with(&format!("{at}~"), Kind::Hardlink(at.clone()))
            }
            Item::Deletion => tape.with(&format!("{parent}/.wh.{name}"), Kind::File(Vec::new())),
        };
    }
    tape
}

/// The members by their names, with as much as a layer keeps of them.
fn sorted(tape: &Tape) -> BTreeMap<String, (Kind, BTreeMap<String, String>, u64)> {
    let kept = tape.0.iter().filter(|member| !matches!(member.name.as_str(), "Files" | "Hives"));
    let kept = kept.map(|member| {
        let is_deletion = member.name.contains("/.wh.");
        let records = if is_deletion { BTreeMap::new() } else { member.records.clone() };
        let modified = if is_deletion { 0 } else { member.modified };
        (member.name.clone(), (member.kind.clone(), records, modified))
    });
    kept.collect()
}

fn again(tape: &Tape) -> Tape {
    let mut disk = made_of(tape, Form::Diff).expect("imported");
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let (layer, records) = exported(&store, &mut disk, ExportOptions::default()).expect("exported");
    let mut bytes = Vec::new();
    store.open_blob(&layer.digest).expect("there").read_to_end(&mut bytes).expect("read");
    let members = tape_in(&bytes);
    // Streams and the two directories at the top are not of the file system.
    let is_of_image = |name: &str| name.starts_with("Files/") && !name.contains(':');
    assert_eq!(records.len(), members.0.iter().filter(|member| is_of_image(&member.name)).count());
    members
}

#[test]
fn as_much_is_kept_of_a_file_as_windows_keeps() {
    let value = |length: usize| {
        let bytes = vec![7; length];
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
    };
    let tape = Tape::begun()
        .with("Files/x", Kind::File(Vec::new()))
        .said("MSWINDOWS.fileattr", "32")
        .said("LIBARCHIVE.creationtime", "7.000000000")
        .said("MSWINDOWS.rawsd", &value(64 << 10))
        .said("MSWINDOWS.xattr.LX", &value((64 << 10) - 11));
    assert_eq!(sorted(&again(&tape)), sorted(&tape));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_layer_is_the_same_after_both_directions(
        items in prop::collection::btree_map(prop::collection::vec(0..6_u8, 1..4), item(), 0..12),
    ) {
        let tape = layer(items);
        let once = again(&tape);
        prop_assert_eq!(sorted(&once), sorted(&tape));
        prop_assert_eq!(again(&once), once, "the second time nothing moves");
    }

    #[test]
    fn no_bytes_of_a_layer_make_anything_outside(
        items in prop::collection::btree_map(prop::collection::vec(0..6_u8, 1..4), item(), 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        is_base in any::<bool>(),
    ) {
        let mut bytes = archive_of(&layer(items));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Most changes are in headers, which nobody reads unless their sums are right.
        for header in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let form = if is_base { Form::Base } else { Form::Diff };
        if let Ok(disk) = made_of_bytes(&bytes, form) {
            for (place, path) in disk.nodes.keys() {
                let top = path.components().next().unwrap_or_default();
                let top = top.strip_suffix(".$wcidirs$").unwrap_or(top);
                prop_assert!(["Files", "Hives", "UtilityVM"].contains(&top), "{path}");
                prop_assert!(is_base == (*place == Place::Layer) || top == "UtilityVM", "{path}");
            }
            prop_assert!(!is_base || disk.done.deletions.is_empty());
        }
    }
}

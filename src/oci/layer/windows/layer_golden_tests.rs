//! Layers and what is made of them, side by side in `testdata/layer`.

use std::{collections::BTreeMap, io::Read as _};

use super::{
    export::ExportOptions,
    import::Form,
    support::{Kind, Tape, disk_of, exported, made_of, tape_in, tape_of},
};
use crate::oci::Store;

const STEP: (&str, &str) =
    (include_str!("testdata/layer/step/members"), include_str!("testdata/layer/step/made"));

#[test]
fn layers_become_what_windows_makes_layers_of() {
    for (form, members, made) in [
        (Form::Diff, STEP.0, STEP.1),
        (Form::Base, include_str!("testdata/layer/base/members"), include_str!("testdata/layer/base/made")),
        (
            Form::Diff,
            include_str!("testdata/layer/utility-vm/members"),
            include_str!("testdata/layer/utility-vm/made"),
        ),
    ] {
        let found = made_of(&tape_of(members), form).expect("imported");
        let expected = disk_of(made);
        for (place, node) in &expected.nodes {
            assert_eq!(found.nodes.get(place), Some(node), "{place:?}");
        }
        assert_eq!(found, expected);
    }
}

/// The members of the layer of what is on a disk.
fn members(disk: &str, options: ExportOptions) -> Tape {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let (layer, _) = exported(&store, &mut disk_of(disk), options).expect("exported");
    let mut bytes = Vec::new();
    store.open_blob(&layer.digest).expect("there").read_to_end(&mut bytes).expect("read");
    let mut tape = tape_in(&bytes);
    // What is said of a deletion means nothing.
    for member in tape.0.iter_mut().filter(|member| member.name.contains("/.wh.")) {
        member.records = BTreeMap::new();
    }
    tape
}

#[test]
fn exports_become_the_layers_that_they_are() {
    assert_eq!(members(STEP.1, ExportOptions::default()), tape_of(STEP.0));
}

#[test]
fn no_time_of_a_layer_is_later_than_it_may_be() {
    let latest = 1_500_000_000;
    let options = ExportOptions { latest_mtime: Some(latest), ..ExportOptions::default() };
    for member in members(STEP.1, options).0 {
        assert!(member.modified <= latest.unsigned_abs(), "{member:?}");
        let created = member.records.get("LIBARCHIVE.creationtime");
        let is_late = created.is_some_and(|created| created.as_str() > "1500000000.000000000");
        assert!(!is_late || created.is_some_and(|created| created == "0.000000000"), "{member:?}");
    }
}

#[test]
fn what_windows_keeps_for_itself_is_in_no_layer() {
    let disk = format!(
        "{}\nfolder | Files\\$RECYCLE.BIN\nplain | Files\\$RECYCLE.BIN\\x | 0 | 0\nfolder | \
         Files\\System Volume Information\ndelete | Files\\System Volume Information\\y\n",
        STEP.1
    );
    assert_eq!(members(&disk, ExportOptions::default()), tape_of(STEP.0));
}

#[test]
fn a_sparse_file_has_its_zeros_in_a_layer() {
    let disk = format!(
        "folder | Files\nplain | Files\\sparse | 0 | 116444736000000000\n20 02 00 00\n{}",
        include_str!("testdata/backup/sparse-file/streams.hex")
    );
    let disk = disk.lines().map(|line| if line.contains('|') { line.into() } else { format!(" {line}") });
    let tape = members(&disk.collect::<Vec<String>>().join("\n"), ExportOptions::default());
    let Some(Kind::File(content)) = tape.0.last().map(|member| &member.kind) else { panic!("{tape:?}") };
    assert_eq!((content.len(), &content[0x1_0000..0x1_0003]), (0x2_0000, &b"abc"[..]));
    assert_eq!(content.iter().filter(|byte| **byte != 0).count(), 3);
}

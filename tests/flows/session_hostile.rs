//! Layers that nobody vouches for.

use std::{fs, io::Write as _, path::Path};

use polyarch::{
    oci::{digest_of, layer::EntryKind},
    session::{Ended, StepLayer},
};

use crate::support::session::{Bench, layer};

/// A layer of a tar archive that no careful program would write.
fn raw(bench: &Bench, build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> StepLayer {
    let mut builder = tar::Builder::new(Vec::new());
    build(&mut builder);
    let archive = builder.into_inner().expect("an archive");
    let digest = bench.store.put(&archive).expect("stored");
    StepLayer { diff_id: digest.clone(), digest }
}

fn entry(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o666);
    header.set_size(content.len() as u64);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    builder.append(&header, content).expect("appended");
}

#[tokio::test]
async fn no_name_and_no_link_leads_out_of_the_root() {
    let Some(bench) = Bench::new() else { return };
    let outside = bench.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("victim"), "untouched").expect("written");
    let outside = outside.to_str().expect("text");
    let up = "../".repeat(20);
    let first = raw(&bench, |tar| {
        entry(tar, tar::EntryType::Symlink, "abs", outside, b"");
        entry(tar, tar::EntryType::Symlink, "rel", &format!("{up}{outside}"), b"");
        entry(tar, tar::EntryType::Regular, "abs/one", "", b"x");
        entry(tar, tar::EntryType::Regular, "rel/two", "", b"x");
        entry(tar, tar::EntryType::Regular, &format!("{up}three"), "", b"x");
        entry(tar, tar::EntryType::Regular, "/four", "", b"x");
        entry(tar, tar::EntryType::Symlink, "victim", &format!("{outside}/victim"), b"");
        entry(tar, tar::EntryType::Regular, "victim", "", b"replaced");
        entry(tar, tar::EntryType::Symlink, "etc/self", "/proc/self/root", b"");
    });
    let second = raw(&bench, |tar| {
        entry(tar, tar::EntryType::Regular, "abs/five", "", b"x");
        entry(tar, tar::EntryType::Regular, "abs/.wh.victim", "", b"");
        entry(tar, tar::EntryType::Regular, "rel/.wh..wh..opq", "", b"");
        entry(tar, tar::EntryType::Regular, ".wh.four", "", b"");
    });
    let layers = [bench.base.clone(), vec![first, second]].concat();
    let (_, text) = bench.script(&layers, &format!("cat /victim; ls / {outside}; test ! -e /four")).await;
    assert!(text.starts_with("replaced") && text.contains("three"), "{text}");
    assert_eq!(fs::read_to_string(Path::new(outside).join("victim")).expect("there"), "untouched");
    assert_eq!(fs::read_dir(outside).expect("list").count(), 1);
    // A hard link to a file of this machine finds nothing.
    let link =
        raw(&bench, |tar| entry(tar, tar::EntryType::Link, "stolen", &format!("{outside}/victim"), b""));
    let layers = [bench.base.clone(), vec![link]].concat();
    let error = bench
        .run(polyarch::session::Step { layers, ..bench.step("cat /stolen") })
        .await
        .0
        .expect_err("nothing");
    assert!(error.to_string().contains("stolen: No such file"), "{error}");
}

#[tokio::test]
async fn device_nodes_of_a_layer_open_nothing() {
    let Some(bench) = Bench::new() else { return };
    let device = layer(&bench.store, |layer| {
        layer.put("zero", EntryKind::CharDevice { major: 1, minor: 5 }, 0o666, std::io::empty());
        layer.put("hidden", EntryKind::CharDevice { major: 0, minor: 0 }, 0o666, std::io::empty());
    });
    let layers = [bench.base.clone(), vec![device]].concat();
    let text = bench
        .script(&layers, "head -c 1 /zero 2> /dev/null | wc -c; head -c 1 /hidden 2> /dev/null | wc -c")
        .await
        .1;
    assert_eq!(text, "0\n0\n");
}

#[tokio::test]
async fn a_layer_with_another_digest_is_refused_and_not_kept() {
    let Some(bench) = Bench::new() else { return };
    let right = raw(&bench, |tar| entry(tar, tar::EntryType::Regular, "x", "", b"x"));
    let wrong = StepLayer { digest: right.digest.clone(), diff_id: digest_of(b"other") };
    let mut flate = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    flate
        .write_all(b"no archive at all, but long enough to be taken for a header".repeat(20).as_slice())
        .expect("written");
    let odd = bench.store.put(&flate.finish().expect("compressed")).expect("stored");
    let missing = digest_of(b"missing");
    for (layer, reason) in [
        (wrong, "its archive has digest"),
        (StepLayer { diff_id: odd.clone(), digest: odd }, "a header has a wrong checksum"),
        (StepLayer { diff_id: missing.clone(), digest: missing }, "the store has no blob"),
    ] {
        let layers = [bench.base.clone(), vec![layer]].concat();
        let error =
            bench.run(polyarch::session::Step { layers, ..bench.step("true") }).await.0.expect_err("refused");
        assert!(error.to_string().contains(reason), "{error}");
    }
    // The session works on.
    let layers = [bench.base.clone(), vec![right]].concat();
    assert_eq!(bench.script(&layers, "cat /x").await.1, "x");
    let snapshots = fs::read_dir(bench.store.root().join("backends/sandbox")).expect("list").flatten();
    let kept = snapshots.filter(|entry| entry.file_name().to_string_lossy().starts_with("snapshots"));
    let entries = kept.flat_map(|folder| fs::read_dir(folder.path()).expect("list").flatten());
    assert_eq!(entries.filter(|entry| entry.path().is_dir()).count(), 2);
}

#[tokio::test]
async fn more_layers_than_one_mount_call_could_name_work() {
    let Some(bench) = Bench::new() else { return };
    let many =
        (0..130).map(|number| layer(&bench.store, |layer| layer.file(&format!("f{number}"), b"x", 0o644)));
    let layers: Vec<StepLayer> = bench.base.iter().cloned().chain(many).collect();
    let (outcome, text) =
        bench.run(polyarch::session::Step { layers, ..bench.step("ls -d /f* | wc -l") }).await;
    assert_eq!(outcome.expect("an outcome").ended, Ended::Code(0));
    assert_eq!(text, "130\n");
}

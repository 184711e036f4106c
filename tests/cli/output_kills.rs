//! Outputs whose writing is killed in the middle.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use polyarch::oci::{Store, digest_of};

use crate::support::{
    command::{Desk, ready},
    images::{FILE, Layer, MEBIBYTE, Tar, image},
};

/// How often a build may be quicker than what kills it.
const TRIES: usize = 20;
/// How the names of what is being made begin.
const DRAFT: &str = ".polyarch-draft-";

/// Arguments of a build of which only the output is left to do, and that takes a while.
fn large_image(desk: &Desk) -> Vec<String> {
    let store = Store::open(desk.path("base")).expect("a store");
    let archive = Tar::new().member(FILE, "large", "", &vec![b'x'; 16 * MEBIBYTE]).end();
    // There is as much to write in every form if nothing is compressed.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(&archive).expect("written");
    let layer = Layer { blob: encoder.finish().expect("finished"), diff_id: digest_of(&archive) };
    let root = image(&store, &[layer]);
    store.lock_names().expect("a lock").set(&"base".parse().expect("a name"), &root).expect("named");
    let context = desk.context("app", "FROM base\nCOPY a.txt /\n");
    let base = format!("base=oci-layout://{}@{}", store.root().display(), root.digest);
    let build = ["build", "--platform", "linux/amd64", "--build-context", &base, &context];
    desk.ok(build);
    build.map(str::to_owned).to_vec()
}

fn with(build: &[String], output: &str) -> Vec<String> {
    build.iter().cloned().chain(["-o".to_owned(), output.to_owned()]).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("list").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// Whether there is a file with something in it below a folder.
fn has_bytes(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .any(|(path, metadata)| if metadata.is_dir() { has_bytes(&path) } else { metadata.len() > 0 })
}

/// Builds, and kills the build as soon as it writes into a draft in `folder`. False where it was quicker.
fn kill_in_the_middle(desk: &Desk, build: &[String], folder: &Path) -> bool {
    let mut process = desk.begin("log", build);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().expect("a process") {
            break status;
        }
        let drafts = names(folder).into_iter().filter(|name| name.starts_with(DRAFT));
        if drafts.into_iter().any(|draft| has_bytes(&folder.join(draft))) {
            process.kill().expect("killed");
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing was written");
    };
    let log = fs::read_to_string(desk.path("log")).expect("read");
    assert!(status.success() || status.code().is_none(), "{log}");
    !status.success()
}

#[test]
fn a_killed_output_leaves_nothing_under_its_name_and_the_next_removes_the_rest() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let build = large_image(&desk);
    for kind in ["local", "tar", "docker", "oci", "oci,tar=false"] {
        let folder = desk.path("out");
        let output = with(&build, &format!("type={kind},dest=out/new"));
        let killed = (0..TRIES).any(|_| {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).expect("a folder");
            kill_in_the_middle(&desk, &output, &folder)
        });
        assert!(killed, "{kind}: no build was killed in the middle");
        let left = names(&folder);
        assert!(!left.is_empty() && left.iter().all(|name| name.starts_with(DRAFT)), "{kind}: {left:?}");
        desk.ok(&output);
        assert_eq!(names(&folder), ["new"], "{kind}");
    }
}

#[test]
fn a_killed_output_changes_nothing_of_what_was_there() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let build = large_image(&desk);
    fs::create_dir(desk.path("out")).expect("a folder");
    for kind in ["tar", "docker", "oci"] {
        let output = with(&build, &format!("type={kind},dest=out/old"));
        let killed = (0..TRIES).any(|_| {
            fs::write(desk.path("out/old"), "old").expect("written");
            kill_in_the_middle(&desk, &output, &desk.path("out"))
        });
        assert!(killed, "{kind}: no build was killed in the middle");
        assert_eq!(fs::read(desk.path("out/old")).expect("read"), b"old", "{kind}");
    }
    let killed = (0..TRIES).any(|_| {
        fs::write(desk.path("out/large"), "old").expect("written");
        let _ = fs::remove_file(desk.path("out/a.txt"));
        kill_in_the_middle(&desk, &with(&build, "out"), &desk.path("out"))
    });
    assert!(killed, "no build was killed in the middle");
    let left = names(&desk.path("out")).into_iter().filter(|name| !name.starts_with(DRAFT));
    assert_eq!(left.collect::<Vec<_>>(), ["large", "old"]);
    assert_eq!(fs::read(desk.path("out/large")).expect("read"), b"old");
}

//! Registries that lie.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use polyarch::oci::digest_of;
use serde_json::{Value, json};

use crate::support::{
    buildah::left_behind,
    command::{Desk, Ended},
    images::{Layer, Tar},
    lies::{Answer, Liar},
    peaks::watch,
    registry::OCI_MANIFEST,
};

const BYTES: &str = "application/octet-stream";
/// The most that the orchestrator may have at once, in KiB, whatever comes.
const MOST: u64 = 150 << 10;

pub(super) fn layer() -> Layer {
    Layer::of(&Tar::new().file("file", "text").end())
}

pub(super) fn path_of(name: &str, descriptor: &Value) -> String {
    format!("/v2/{name}/blobs/{}", descriptor["digest"].as_str().expect("a digest"))
}

/// Builds from the image `name` of a registry, with all that could be left half done, and checks that it fails in one
/// sentence with these words and leaves nothing.
fn refused(liar: &Liar, name: &str, code: i32, words: &[&str]) {
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {}/{name}\nCOPY a.txt /\n", liar.address));
    let outputs = ["-t", "app:1", "-o", "type=oci,dest=app.tar", "--iidfile", "id", "--backend", "sandbox"];
    let begun = Instant::now();
    let command = desk.begin("log", ["build", &context].iter().chain(&outputs));
    let (status, peaks) = watch(command);
    let stderr = fs::read_to_string(desk.path("log")).expect("read");
    let ended = Ended { code: status.code(), stdout: Vec::new(), stderr };
    ended.fails(code, words);
    let sentence = ended.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(sentence.len() < 500 && !sentence.contains(char::is_control), "{name}: {sentence:?}");
    assert!(begun.elapsed() < Duration::from_mins(1), "{name}: {:?}", begun.elapsed());
    assert!(peaks.values().all(|peak| *peak < MOST), "{name}: {peaks:?}");
    assert_eq!(desk.names(), [""; 0], "{name}");
    assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new(), "{name}");
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new(), "{name}");
    for blob in fs::read_dir(desk.store().join("blobs/sha256")).into_iter().flatten().flatten() {
        let digest = digest_of(&fs::read(blob.path()).expect("read"));
        assert_eq!(blob.file_name().to_string_lossy(), digest.hex(), "{name}: no blob is another's");
    }
    for output in ["app.tar", "id"] {
        assert!(!desk.path(output).exists(), "{name}: {output}");
    }
}

/// The same for several images at once: what looks like a broken connection is tried again for a while.
pub(super) fn all_refused(liar: &Liar, cases: &[(&str, i32, &[&str])]) {
    thread::scope(|scope| {
        for (name, code, words) in cases {
            scope.spawn(move || refused(liar, name, *code, words));
        }
    });
}

#[test]
fn an_honest_registry_of_the_tests_is_believed() {
    let liar = Liar::start();
    let image = liar.image("honest", &[layer()], |_| {});
    let entry = liar.manifest("honest", &image);
    liar.index("listed", std::slice::from_ref(&entry));
    liar.put(
        &format!("/v2/listed/manifests/{}", entry["digest"].as_str().expect("a digest")),
        Answer::of(OCI_MANIFEST, image.to_string()),
    );
    liar.image("listed", &[layer()], |_| {});
    for name in ["honest", "listed"] {
        let desk = Desk::new();
        let context = desk.context("app", format!("FROM {}/{name}\nCOPY a.txt /\n", liar.address));
        desk.ok(["build", "--backend", "sandbox", "-o", "type=oci,dest=app.tar", &context]);
    }
}

#[test]
fn content_that_is_not_what_its_digest_says_is_never_kept() {
    let liar = Liar::start();
    let other = Layer::of(&Tar::new().file("file", "evil").end());
    let same_size = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>();

    let image = liar.image("layer", &[layer()], |_| {});
    liar.manifest("layer", &image);
    liar.put(&path_of("layer", &image["layers"][0]), Answer::of(BYTES, same_size(&layer().blob)));

    let image = liar.image("config", &[layer()], |_| {});
    liar.manifest("config", &image);
    let size = usize::try_from(image["config"]["size"].as_u64().expect("a size")).expect("small");
    liar.put(&path_of("config", &image["config"]), Answer::of(BYTES, vec![b' '; size]));

    let image = liar.image("child", &[layer()], |_| {});
    let mut entry = liar.manifest("child", &image);
    let honest = entry["digest"].as_str().expect("a digest").to_owned();
    liar.put(
        &format!("/v2/child/manifests/{honest}"),
        Answer::of(OCI_MANIFEST, liar.image("child", &[other], |_| {}).to_string()),
    );
    liar.index("child", std::slice::from_ref(&entry));

    // An index that gives its image another length.
    let image = liar.image("length", &[layer()], |_| {});
    entry = liar.manifest("length", &image);
    entry["size"] = json!(7);
    liar.index("length", &[entry]);

    let header = Answer::of(OCI_MANIFEST, liar.image("header", &[layer()], |_| {}).to_string());
    let zeros = format!("sha256:{}", "0".repeat(64));
    liar.put("/v2/header/manifests/latest", header.with_header("Docker-Content-Digest", &zeros));

    for (name, size) in [("larger", 1), ("smaller", -1), ("empty", i64::MIN)] {
        let mut image = liar.image(name, &[layer()], |_| {});
        let said = image["layers"][0]["size"].as_i64().expect("a size");
        image["layers"][0]["size"] = json!(said.saturating_add(size).max(0));
        liar.manifest(name, &image);
    }
    all_refused(
        &liar,
        &[
            ("layer", 7, &["delivered blob", "with digest"]),
            ("config", 7, &["delivered blob", "with digest"]),
            ("child", 7, &["delivered manifest", "with digest"]),
            ("length", 7, &["its index gives it another length"]),
            ("header", 7, &["delivered manifest", "with digest"]),
            ("larger", 7, &["ended 1 bytes early"]),
            ("smaller", 7, &["it has more than the"]),
            ("empty", 7, &["it has more than the 0 bytes"]),
        ],
    );
}

#[test]
fn what_never_ends_is_not_read_to_its_end() {
    let liar = Liar::start();
    let spaces = vec![b' '; 1 << 16];
    liar.put("/v2/manifest/manifests/latest", Answer::endless(OCI_MANIFEST, spaces.clone()));
    let mut image = liar.image("blob", &[layer()], |_| {});
    liar.manifest("blob", &image);
    liar.put(&path_of("blob", &image["layers"][0]), Answer::endless(BYTES, spaces.clone()));
    image = liar.image("config", &[layer()], |_| {});
    liar.manifest("config", &image);
    liar.put(&path_of("config", &image["config"]), Answer::endless(BYTES, spaces));
    // Bodies that are said to be longer than they are, and manifests beyond what is read.
    liar.put("/v2/short/manifests/latest", Answer::with_length(OCI_MANIFEST, "{}", 1 << 40));
    image = liar.image("short-blob", &[layer()], |_| {});
    liar.manifest("short-blob", &image);
    let layer_path = path_of("short-blob", &image["layers"][0]);
    liar.put(&layer_path, Answer::with_length(BYTES, "x", 1 << 40));
    let mut large = liar.image("large", &[layer()], |_| {});
    large["annotations"] = json!({"a": "x".repeat(9 << 20)});
    liar.manifest("large", &large);
    let mut many = liar.image("many", &[layer()], |_| {});
    many["layers"] = json!(vec![many["layers"][0].clone(); 100_000]);
    liar.manifest("many", &many);
    // An error that never ends is no error to show.
    liar.put(
        "/v2/error/manifests/latest",
        Answer::endless("text/plain", "\u{1b}]0;evil\u{7} no\n").failing(),
    );
    all_refused(
        &liar,
        &[
            ("manifest", 7, &["it has more than 8388608 bytes"]),
            ("blob", 7, &["it has more than the"]),
            ("config", 7, &["it has more than the"]),
            ("short", 7, &["the connection to"]),
            ("short-blob", 7, &["blob"]),
            ("large", 7, &["it has more than 8388608 bytes"]),
            ("many", 7, &["it has more than 8388608 bytes"]),
            ("error", 8, &["denied access"]),
        ],
    );
}

#[test]
fn who_is_asked_elsewhere_sees_no_credentials() {
    let (liar, other) = (Liar::start(), Liar::start());
    liar.close();
    let image = liar.image("far", &[layer()], |_| {});
    liar.manifest("far", &image);
    let path = path_of("far", &image["layers"][0]);
    // The same machine under another name is another host.
    let elsewhere = other.address.replace("127.0.0.1", "localhost");
    liar.put(&path, Answer::elsewhere(&format!("http://{elsewhere}/blob")));
    other.put("/blob", Answer::of(BYTES, layer().blob));
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {}/far\nCOPY a.txt /\n", liar.address));
    let auth = json!({"auths": {&liar.address: {"username": "me", "password": "pass"}}});
    fs::write(desk.path("auth.json"), auth.to_string()).expect("written");
    let build = ["build", "--backend", "sandbox", "--authfile", "auth.json", "-o", "type=oci,dest=app.tar"];
    desk.ok(build.iter().chain(&[context.as_str()]));
    let has_credentials = |head: &String| head.to_ascii_lowercase().contains("authorization:");
    assert!(liar.asked().iter().any(has_credentials), "{:?}", liar.asked());
    assert!(!other.asked().is_empty() && !other.asked().iter().any(has_credentials), "{:?}", other.asked());
    // Round and round.
    liar.put(&path, Answer::elsewhere(&format!("http://{}{path}", liar.address)));
    let desk = Desk::new();
    let context = desk.context("app", format!("FROM {}/far\nCOPY a.txt /\n", liar.address));
    fs::write(desk.path("auth.json"), auth.to_string()).expect("written");
    let ended = desk.run(build.iter().chain(&[context.as_str()]));
    ended.fails(7, &["too many redirects"]);
}

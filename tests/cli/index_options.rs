//! What `polyarch index` takes beside sources and a name.

use std::fs;

use polyarch::{actors::Digest, oci::Store};
use serde_json::{Value, json};

use crate::support::{
    command::{Desk, platforms, ready},
    registry::{OCI_MANIFEST, TestRegistry, image, layer_of, put, sample_index},
    tools::require,
};

/// An index of two images in the store of a desk.
fn sample(desk: &Desk) -> (Store, Digest) {
    let store = Store::open(desk.store()).expect("a store");
    let index = sample_index(&store, &["amd64", "arm64"], "sample", 500);
    (store, index)
}

/// What a name of the store means.
fn stored(desk: &Desk, name: &str) -> Value {
    serde_json::from_str(&desk.ok(["index", "inspect", "--raw", name])).expect("json")
}

#[test]
fn a_receipt_leads_to_the_layout_that_its_build_wrote_from_any_folder() {
    if !ready() {
        return;
    }
    let (desk, other) = (Desk::new(), Desk::new());
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let output = "type=oci,dest=layout,tar=false";
    desk.ok([
        "build",
        "--platform",
        "linux/amd64,linux/arm64",
        "-o",
        output,
        "--receipt",
        "it.json",
        &context,
    ]);
    fs::remove_dir_all(desk.store()).expect("removed");
    let receipt = desk.path("it.json");
    // No registry is asked for what is here.
    let mut written: Value = serde_json::from_slice(&fs::read(&receipt).expect("read")).expect("json");
    written["pushed"] =
        json!([{"reference": "127.0.0.1:1/team/app:1", "digest": written["index"]["digest"]}]);
    fs::write(&receipt, written.to_string()).expect("written");
    other.ok(["index", "create", "-t", "store://app:1", receipt.to_str().expect("text")]);
    assert_eq!(platforms(&stored(&other, "store://app:1")), ["linux/amd64", "linux/arm64"]);
    assert_eq!(other.ok(["index", "lint", "store://app:1"]), "");
    let files = other.unpack(&format!("oci:{}:1", other.store().display()), "arm64");
    assert_eq!(fs::read_to_string(files.join("a.txt")).expect("read"), "hello\n");
}

#[test]
fn a_receipt_leads_to_whichever_registry_has_its_image() {
    if !ready() || !require("htpasswd") {
        return;
    }
    let (desk, open, locked) = (Desk::new(), TestRegistry::open(), TestRegistry::with_password());
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let name = format!("{}/team/app:1", open.address);
    desk.ok(["build", "--push", "-t", &name, "--receipt", "it.json", &context]);
    let mut receipt: Value =
        serde_json::from_slice(&fs::read(desk.path("it.json")).expect("read")).expect("json");
    let digest = receipt["index"]["digest"].clone();
    let pushed = |address: &str| json!({"reference": format!("{address}/team/app:1"), "digest": digest});
    let mut create = |pushed: Value| {
        receipt["pushed"] = pushed;
        let other = Desk::new();
        fs::write(other.path("it.json"), receipt.to_string()).expect("written");
        other.run(["index", "create", "-t", "store://app:1", "it.json"])
    };
    let ended = create(json!([pushed(&locked.address), pushed(&open.address)]));
    assert_eq!(ended.success(), format!("store://app:1@{}\n", digest.as_str().expect("a digest")));
    create(json!([pushed(&locked.address)])).fails(8, &[&locked.address]);
}

#[test]
fn an_index_alone_stays_what_it_is_and_an_image_alone_only_if_asked_for() {
    let desk = Desk::new();
    let (store, index) = sample(&desk);
    let root = |target: &str, source: &str, flags: &[&str]| {
        let create = ["index", "create", "-t", target, source];
        let printed = desk.ok(create.into_iter().chain(flags.iter().copied()));
        printed.trim().rsplit_once('@').expect("a digest").1.to_owned()
    };
    assert_eq!(root("store://same:1", index.as_str(), &[]), index.as_str());
    let alone = put(&store, OCI_MANIFEST, &image(&store, "amd64", &[layer_of(&store, "alone", 500)]));
    let alone = alone["digest"].as_str().expect("a digest");
    assert_eq!(root("store://image:1", alone, &["--prefer-index=false"]), alone);
    assert_ne!(root("store://index:1", alone, &[]), alone);
    let made = stored(&desk, "store://index:1");
    assert_eq!(platforms(&made), ["linux/amd64"]);
    assert_eq!(made["manifests"][0]["digest"], alone);
}

#[test]
fn a_dry_run_prints_the_index_and_publishes_nothing() {
    if !require("jq") {
        return;
    }
    let desk = Desk::new();
    let (_store, index) = sample(&desk);
    let printed = desk.ok(["index", "create", "--dry-run", "-t", "store://app:1", index.as_str()]);
    assert_eq!(platforms(&serde_json::from_str(&printed).expect("json")), ["linux/amd64", "linux/arm64"]);
    assert_eq!(desk.names(), Vec::<String>::new());
    // Whatever is printed is what is published.
    let target = ["-t", "store://app:1", index.as_str(), "--annotation", "a=b"];
    let printed = desk.ok(["index", "create", "--dry-run"].into_iter().chain(target));
    desk.ok(["index", "create"].into_iter().chain(target));
    assert_eq!(printed.trim(), desk.ok(["index", "inspect", "--raw", "store://app:1"]));
}

#[test]
fn annotations_go_to_the_index_or_to_the_entries_that_they_name() {
    let desk = Desk::new();
    let (_store, index) = sample(&desk);
    let notes =
        ["a=index", "index:b=index", "manifest-descriptor:c=all", "manifest-descriptor[linux/arm64]:d=arm"];
    let create = ["index", "create", "-t", "store://app:1", index.as_str()];
    desk.ok(create.into_iter().chain(notes.into_iter().flat_map(|note| ["--annotation", note])));
    let made = stored(&desk, "store://app:1");
    assert_eq!(made["annotations"], json!({"a": "index", "b": "index"}));
    assert_eq!(made["manifests"][0]["annotations"], json!({"c": "all"}));
    assert_eq!(made["manifests"][1]["annotations"], json!({"c": "all", "d": "arm"}));
    desk.run(create.into_iter().chain(["--annotation", "manifest:e=f"])).fails(2, &["another image"]);
}

#[test]
fn a_file_may_hold_a_descriptor_or_the_name_of_a_source() {
    let desk = Desk::new();
    let (store, index) = sample(&desk);
    let more = put(&store, OCI_MANIFEST, &image(&store, "riscv64", &[layer_of(&store, "more", 500)]));
    fs::write(desk.path("descriptor"), more.to_string()).expect("written");
    fs::write(desk.path("name"), format!("{index}\n")).expect("written");
    desk.ok(["index", "create", "-t", "store://app:1", "-f", "name", "-f", "descriptor"]);
    let listed = platforms(&stored(&desk, "store://app:1"));
    assert_eq!(listed, ["linux/amd64", "linux/arm64", "linux/riscv64"]);
    desk.run(["index", "create", "-t", "store://app:1", "-f", "nothing"]).fails(3, &["cannot read nothing"]);
}

#[test]
fn a_copy_of_some_platforms_is_a_new_index_and_says_so() {
    let desk = Desk::new();
    let (_store, index) = sample(&desk);
    let copy = |platform: &str, target: &str| {
        desk.run(["index", "copy", "--platform", platform, index.as_str(), target])
    };
    let ended = copy("linux/arm64", "store://arm:1");
    ended.says(&format!("store://arm:1 is a new index, of a part of {index}"));
    assert_eq!(ended.code, Some(0));
    assert_eq!(platforms(&stored(&desk, "store://arm:1")), ["linux/arm64"]);
    let layout = format!("oci-layout://{}", desk.path("layout").display());
    copy("linux/riscv64", &layout).fails(3, &["has no image for linux/riscv64", "linux/amd64, linux/arm64"]);
    assert!(!desk.path("layout").exists(), "something half-written stayed");
}

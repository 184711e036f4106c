//! Indexes of what several machines built.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use polyarch::{
    PushedReference, Receipt,
    actors::{BuildId, Descriptor, Digest, ProtocolVersion, Timestamp},
    oci::Store,
};
use serde_json::{Value, json};

use crate::support::{
    buildah::run,
    command::{Desk, has_tag, platforms, raw, raw_json, ready},
    registry::{OCI_INDEX, OCI_MANIFEST, TestRegistry, digest_in, image, layer_of, put, sample_index},
    tools::require,
};

/// As many CPUs as there are processes that add to one index at once.
const CPUS: [&str; 12] = [
    "386", "amd64", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x",
];

fn store(desk: &Desk) -> Store {
    Store::open(desk.store()).expect("a store")
}

/// Writes the receipt of a build that made an index of the store, and pushed it to some names.
fn receipt(path: &Path, store: &Store, index: &Digest, pushed: &[&str]) {
    let index = Descriptor {
        media_type: OCI_INDEX.into(),
        digest: index.clone(),
        size: store.size(index).expect("stored"),
        annotations: BTreeMap::new(),
    };
    let pushed = pushed.iter().map(|name| PushedReference {
        reference: name.parse().expect("a name"),
        digest: index.digest.clone(),
    });
    let receipt = Receipt {
        version: ProtocolVersion,
        build: BuildId::generate(),
        pushed: pushed.collect(),
        index,
        images: Vec::new(),
        missing: Vec::new(),
        tags: Vec::new(),
        exported: Vec::new(),
        started: Timestamp::now(),
        finished: Timestamp::now(),
        timings: None,
    };
    receipt.write(path).expect("written");
}

/// Gives something of the store a name there.
fn name(store: &Store, name: &str, described: &Value) {
    let descriptor: Descriptor = serde_json::from_value(described.clone()).expect("a descriptor");
    let names = store.lock_names().expect("a lock");
    names.set(&name.parse().expect("a name"), &descriptor).expect("named");
}

/// An index whose only entry says that an image is for a platform, whatever its config says.
fn lie(store: &Store, says: &str, config: &str) -> Value {
    let mut entry = put(store, OCI_MANIFEST, &image(store, config, &[]));
    entry["platform"] = json!({"os": "linux", "architecture": says});
    put(store, OCI_INDEX, &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}))
}

/// Adds what receipts are about to one name, by a process for each that all run at once and must all succeed.
fn append_at_once(target: &str, receipts: &[(&Desk, String)]) {
    let begin = |(desk, file): &(&Desk, String)| {
        desk.begin(&format!("{file}.log"), ["index", "create", "--append", "-t", target, file])
    };
    let processes: Vec<Child> = receipts.iter().map(begin).collect();
    for (mut process, (desk, file)) in processes.into_iter().zip(receipts) {
        let status = process.wait().expect("ended");
        let log = fs::read_to_string(desk.path(&format!("{file}.log"))).expect("read");
        assert!(status.success(), "{file}: {log}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn receipts_of_two_machines_make_one_index_that_other_tools_accept() {
    if !ready() {
        return;
    }
    let (one, two, third) = (Desk::new(), Desk::new(), Desk::new());
    let registry = TestRegistry::open();
    let tag = |tag: &str| format!("{}/team/app:{tag}", registry.address);
    let build = |desk: &Desk, name: &str, platforms: &str| -> PathBuf {
        let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
        let arguments =
            ["build", "--push", "-t", &tag(name), "--platform", platforms, "--receipt", "it.json"];
        desk.ok(arguments.into_iter().chain([context.as_str()]));
        desk.path("it.json")
    };
    let linux = build(&one, "linux", "linux/amd64,linux/arm64");
    let more = build(&two, "more", "linux/riscv64");
    // On a machine that has neither of the images.
    let printed = third.ok(["index", "create", "-t", &tag("1"), text(&linux), text(&more)]);
    let bytes = raw(&tag("1"));
    let digest = polyarch::oci::digest_of(&bytes);
    assert_eq!(printed, format!("{}@{digest}\n", tag("1")));
    let all = ["linux/amd64", "linux/arm64", "linux/riscv64"];
    assert_eq!(platforms(&serde_json::from_slice(&bytes).expect("json")), all);

    let copy = format!("dir:{}", third.path("copy").display());
    run(Command::new("skopeo")
        .args(["copy", "--quiet", "--all", "--preserve-digests", "--src-tls-verify=false"])
        .args([&format!("docker://{}", tag("1")), &copy]));
    // The command has no flag for registries without TLS.
    let settings = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address);
    fs::write(third.path("registries.conf"), settings).expect("written");
    let mut buildah = Command::new("buildah");
    buildah.arg("--root").arg(third.path("root")).arg("--runroot").arg(third.path("run"));
    buildah.arg("--registries-conf").arg(third.path("registries.conf"));
    buildah.args(["--storage-driver", "vfs", "manifest", "inspect"]);
    let inspected = run(buildah.arg(tag("1")));
    assert_eq!(platforms(&serde_json::from_str(&inspected).expect("json")), all);

    assert_eq!(third.ok(["index", "lint", &tag("1")]), "");
    let shown = third.ok(["index", "inspect", &tag("1")]);
    assert!(all.iter().all(|platform| shown.contains(platform)), "{shown}");
    assert_eq!(third.ok(["index", "inspect", "--raw", &tag("1")]).into_bytes(), bytes);

    // From place to place it stays what it is.
    let layout = format!("oci-layout://{}:1", third.path("layout").display());
    assert_eq!(third.ok(["index", "copy", &tag("1"), &layout]), format!("{layout}@{digest}\n"));
    assert_eq!(
        one.ok(["index", "copy", &layout, "store://copied:1"]),
        format!("store://copied:1@{digest}\n")
    );
    assert_eq!(one.ok(["index", "lint", "store://copied:1"]), "");
    assert_eq!(one.ok(["index", "copy", "store://copied:1", &tag("2")]), format!("{}@{digest}\n", tag("2")));
    assert_eq!(raw(&tag("2")), bytes);
    let files = one.unpack(&format!("oci:{}:1", third.path("layout").display()), "riscv64");
    assert_eq!(fs::read_to_string(files.join("a.txt")).expect("read"), "hello\n");
}

#[test]
fn merges_of_twelve_processes_into_one_tag_lose_nothing() {
    if !["docker-registry", "skopeo", "jq"].into_iter().all(require) {
        return;
    }
    let (one, two, registry) = (Desk::new(), Desk::new(), TestRegistry::open());
    let tag = format!("{}/team/app:1", registry.address);
    let mut files = Vec::new();
    for (desk, cpus) in [&one, &two].into_iter().zip(CPUS.chunks(6)) {
        let store = store(desk);
        for cpu in cpus {
            let file = format!("{cpu}.json");
            receipt(&desk.path(&file), &store, &sample_index(&store, &[cpu], cpu, 500), &[]);
            files.push((desk, file));
        }
    }
    append_at_once(&tag, &files);
    let mut listed = platforms(&raw_json(&tag));
    listed.sort();
    assert_eq!(listed, CPUS.map(|cpu| format!("linux/{cpu}")));
    assert_eq!(one.ok(["index", "lint", &tag]), "");
    for desk in [&one, &two] {
        assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new());
    }
}

#[test]
fn merges_of_twelve_processes_into_one_name_of_the_store_lose_nothing() {
    if !require("jq") {
        return;
    }
    let desk = Desk::new();
    let store = store(&desk);
    let files = CPUS.map(|cpu| {
        let file = format!("{cpu}.json");
        receipt(&desk.path(&file), &store, &sample_index(&store, &[cpu], cpu, 500), &[]);
        (&desk, file)
    });
    append_at_once("store://app:1", &files);
    assert_eq!(desk.names(), ["docker.io/library/app:1"]);
    let raw = desk.ok(["index", "inspect", "--raw", "store://app:1"]);
    let mut listed = platforms(&serde_json::from_str(&raw).expect("json"));
    listed.sort();
    assert_eq!(listed, CPUS.map(|cpu| format!("linux/{cpu}")));
    assert_eq!(desk.ok(["index", "lint", "store://app:1"]), "");
}

#[test]
fn a_bad_index_is_judged_wherever_it_is() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let store = store(&desk);
    let bad = lie(&store, "arm64", "amd64");
    name(&store, "bad:1", &bad);
    let tag = format!("{}/bad:1", registry.address);
    desk.ok(["index", "copy", "store://bad:1", &tag]);
    let layout = format!("oci-layout://{}@{}", desk.store().display(), digest_in(&bad));
    for source in ["store://bad:1", &tag, &layout] {
        let ended = desk.run(["index", "lint", source]);
        ended.fails(1, &["has one error"]);
        let found = String::from_utf8(ended.stdout).expect("text");
        assert!(found.starts_with("error: platform-mismatch: sha256:"), "{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
        assert!(found.contains("is listed for linux/arm64 and its config says linux/amd64"), "{found}");
    }
}

#[test]
fn what_makes_no_index_is_refused_in_one_sentence_and_nothing_is_written() {
    if !["docker-registry", "skopeo", "jq"].into_iter().all(require) {
        return;
    }
    let (desk, other, registry) = (Desk::new(), Desk::new(), TestRegistry::open());
    let (here, there) = (store(&desk), store(&other));
    let file = |name: &str, text: &str| fs::write(desk.path(name), text).expect("written");

    receipt(&desk.path("gone.json"), &there, &sample_index(&there, &["amd64"], "gone", 500), &[]);
    let pushed = format!("{}/gone:1", registry.address);
    receipt(&desk.path("pushed.json"), &there, &sample_index(&there, &["amd64"], "pushed", 500), &[&pushed]);
    receipt(&desk.path("one.json"), &here, &sample_index(&here, &["amd64", "arm64"], "one", 500), &[]);
    receipt(&desk.path("two.json"), &here, &sample_index(&here, &["riscv64", "arm64"], "two", 500), &[]);
    file("text.json", "no receipt\n");
    file("empty.json", "{}");
    let config = put(&here, "application/vnd.cncf.helm.config.v1+json", &json!({"name": "chart"}));
    let chart = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []});
    name(&here, "chart:1", &put(&here, OCI_MANIFEST, &chart));
    name(&here, "lie:1", &lie(&here, "arm64", "amd64"));
    let layer = layer_of(&here, "layer", 500)["digest"].as_str().expect("a digest").to_owned();
    let names = desk.names();
    let unknown = format!("sha256:{}", "0".repeat(64));
    let absent = format!("docker-image://{}/nothing:1", registry.address);

    let cases: [(&[&str], i32, &[&str]); 12] = [
        (&["gone.json"], 3, &["the image of gone.json is gone", "neither in the store nor"]),
        (&["one.json", "pushed.json"], 3, &["the image of pushed.json is gone"]),
        (&["text.json"], 3, &["text.json is no receipt of polyarch build"]),
        (&["empty.json"], 3, &["empty.json is no receipt of polyarch build"]),
        (&["missing.json"], 3, &["cannot read the receipt missing.json", "No such file"]),
        (&["store://chart:1"], 3, &["chart:1", "is no image", "names no platform"]),
        (&[&layer], 3, &[&layer, "is no image"]),
        (&["one.json", "two.json"], 3, &["one.json and two.json have different images for linux/arm64"]),
        (&["store://lie:1"], 3, &["lie:1 lists", "for linux/arm64", "config says linux/amd64"]),
        (&["one.json", "store://nothing:1"], 3, &["nothing:1"]),
        (&[&absent], 7, &["nothing:1"]),
        (&["one.json", &unknown], 7, &[&unknown]),
    ];
    let tag = format!("{}/made:1", registry.address);
    let layout = format!("oci-layout://{}:1", desk.path("layout").display());
    for (sources, code, words) in cases {
        let create = ["index", "create", "-t", &tag, "-t", "store://made:1", "-t", &layout];
        desk.run(create.into_iter().chain(sources.iter().copied())).fails(code, words);
        let append = ["index", "create", "--append", "-t", &tag, "-t", "store://made:1"];
        desk.run(append.into_iter().chain(sources.iter().copied())).fails(code, words);
        assert!(!has_tag(&tag), "{sources:?}");
        assert_eq!(desk.names(), names, "{sources:?}");
        assert!(!desk.path("layout").exists(), "{sources:?}");
    }
    desk.run(["index", "create", "-t", "store://made:1", &unknown])
        .fails(3, &[&unknown, "no name says which registry has it"]);
    desk.run(["index", "create", "--append", "-t", &layout, "one.json"])
        .fails(3, &["only names in a registry or in the store can be appended to"]);
    desk.run(["index", "create", "one.json"]).fails(2, &["nothing says where the index goes"]);
    desk.run(["index", "create", "-t", &tag]).fails(2, &["nothing says what the index lists"]);
    assert!(!desk.path("layout").exists());
    assert_eq!(desk.names(), names);
    // This process has a folder there for as long as it has the store.
    drop(here);
    assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new());
}

#[test]
fn a_refused_addition_leaves_the_tag_as_it_was() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let store = store(&desk);
    receipt(&desk.path("one.json"), &store, &sample_index(&store, &["amd64"], "one", 500), &[]);
    receipt(&desk.path("two.json"), &store, &sample_index(&store, &["amd64"], "two", 500), &[]);
    let tag = format!("{}/app:1", registry.address);
    for target in [tag.as_str(), "store://app:1"] {
        desk.ok(["index", "create", "-t", target, "one.json"]);
        let source = if target == tag { format!("docker-image://{tag}") } else { target.to_owned() };
        let before = desk.ok(["index", "inspect", "--raw", &source]);
        desk.run(["index", "create", "--append", "-t", target, "two.json"])
            .fails(3, &["app:1 and two.json have different images for linux/amd64"]);
        assert_eq!(desk.ok(["index", "inspect", "--raw", &source]), before);
    }
}

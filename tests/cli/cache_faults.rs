//! Caches that are missing, damaged, foreign or full of lies, and exports that end early.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use polyarch::oci::digest_of;
use serde_json::{Value, json};

use crate::support::{
    bases::busybox,
    buildah::run,
    command::has_tag,
    machines::{Machines, blob, manifest_of, read_blob},
    registry::TestRegistry,
    registry_proxy::{Fault, Proxy},
};

const ONE: &str = "linux/amd64";

/// Writes a document into a layout and says where it is.
fn put(folder: &Path, document: &Value) -> (String, usize) {
    let bytes = serde_json::to_vec(document).expect("json");
    let digest = digest_of(&bytes).to_string();
    fs::write(blob(folder, &digest), &bytes).expect("written");
    (digest, bytes.len())
}

/// Changes what a cache says of its steps, as whoever may write there can.
fn rewrite(folder: &Path, change: impl FnOnce(&mut Value)) {
    let mut manifest = manifest_of(folder);
    let mut document = read_blob(folder, manifest["config"]["digest"].as_str().expect("a digest"));
    change(&mut document);
    let (digest, size) = put(folder, &document);
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = size.into();
    let (digest, size) = put(folder, &manifest);
    let path = folder.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("json");
    index["manifests"][0]["digest"] = digest.into();
    index["manifests"][0]["size"] = size.into();
    fs::write(path, index.to_string()).expect("written");
}

#[test]
fn a_cache_that_cannot_be_used_costs_a_warning_and_the_steps() {
    let Some(machines) = Machines::new(ONE) else { return };
    let registry = TestRegistry::open();
    let plain = format!("{}/plain:1", registry.address);
    machines.build("a", &["-t", &plain, "--push", "--cache-to", "type=local,dest=good"]);
    let path = |name: &str| machines.desk.path(name);
    for name in ["damaged", "foreign", "newer"] {
        run(Command::new("cp").arg("-r").args([path("good"), path(name)]));
    }
    let document = manifest_of(&path("damaged"))["config"]["digest"].as_str().expect("a digest").to_owned();
    let document = blob(&path("damaged"), &document);
    fs::write(
        &document,
        fs::read_to_string(&document).expect("read").replace("2026", "2027").replace("20", "19"),
    )
    .expect("damaged");
    rewrite(&path("newer"), |document| document["version"] = 2.into());
    let text = fs::read_to_string(path("foreign/index.json")).expect("read");
    let mut foreign = manifest_of(&path("foreign"));
    foreign["config"]["mediaType"] = "application/vnd.buildkit.cacheconfig.v0".into();
    let (digest, size) = put(&path("foreign"), &foreign);
    let mut index: Value = serde_json::from_str(&text).expect("json");
    index["manifests"][0]["digest"] = digest.into();
    index["manifests"][0]["size"] = size.into();
    fs::write(path("foreign/index.json"), index.to_string()).expect("written");
    fs::create_dir(path("empty")).expect("made");
    for (number, (cache, reason)) in [
        (format!("{}/no/cache", registry.address), "not found"),
        ("127.0.0.1:1/no/registry".to_owned(), "127.0.0.1:1"),
        (plain, "it is an image that carries no cache"),
        ("type=local,src=nowhere".to_owned(), "is no OCI image layout"),
        ("type=local,src=empty".to_owned(), "is no OCI image layout"),
        ("type=local,src=damaged".to_owned(), "digest"),
        ("type=local,src=foreign".to_owned(), "it is a cache of BuildKit"),
        ("type=local,src=newer".to_owned(), "it has version 2"),
    ]
    .into_iter()
    .enumerate()
    {
        let built = machines.build(&format!("b{number}"), &["--cache-from", &cache]);
        assert_eq!(built.ran(), 2, "{cache}");
        let warnings = built.warnings();
        assert_eq!(warnings.len(), 1, "{cache}: {warnings:?}");
        assert!(warnings[0].starts_with("the cache ") && warnings[0].contains(reason), "{warnings:?}");
    }
}

#[test]
fn a_layer_that_is_not_to_be_had_is_made_again() {
    let Some(machines) = Machines::new(ONE) else { return };
    let registry = TestRegistry::open();
    let to = format!("type=registry,ref={}/cache,mode=max", registry.address);
    machines.build("a", &["--cache-to", &to, "--cache-to", "type=local,dest=d,mode=max"]);
    let layers = manifest_of(&machines.desk.path("d"))["layers"].clone();
    let layers: Vec<&str> = layers
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| layer["digest"].as_str().expect("text"))
        .collect();
    let proxy = Proxy::before(&registry.address);
    for layer in &layers {
        proxy.add("GET", layer, usize::MAX, Fault::Answer(404, vec![], String::new()));
        fs::remove_file(blob(&machines.desk.path("d"), layer)).expect("removed");
    }
    let remote = format!("{}/cache", proxy.address);
    for (machine, cache) in [("b", remote.as_str()), ("c", "type=local,src=d")] {
        let built = machines.build(machine, &["--cache-from", cache]);
        // What the other stage made counts as long as it is not looked into; afterwards it is.
        assert_eq!(built.ran(), 2, "{:?}", built.steps(""));
        let warnings = built.warnings();
        assert!(!warnings.is_empty());
        for warning in warnings {
            assert!(warning.contains("cannot be used, so its step is done"), "{warning}");
        }
    }
}

#[test]
fn who_lies_about_a_layer_is_not_believed() {
    let Some(machines) = Machines::new(ONE) else { return };
    let first = machines.build("a", &["--cache-to", "type=local,dest=d,mode=max"]);
    let folder = machines.desk.path("d");
    rewrite(&folder, |document| {
        // Every layer is said to be in the blob of another one.
        let steps = document["steps"].as_object_mut().expect("steps");
        let blobs: Vec<Value> =
            steps.values().filter_map(|step| step.get("layer")?.get("blob").cloned()).collect();
        let layers = steps.values_mut().filter_map(|step| step.get_mut("layer"));
        for (layer, other) in layers.zip(blobs.iter().cycle().skip(1)) {
            layer["blob"] = other.clone();
        }
    });
    let built = machines.build("b", &["--cache-from", "type=local,src=d", "-o", "type=oci,dest=b.tar"]);
    assert!(built.warnings().iter().any(|warning| warning.contains("it is not what the cache says of it")));
    assert_ne!(built.digest, first.digest);
    let files =
        machines.desk.unpack(&format!("oci-archive:{}", machines.desk.path("b.tar").display()), "amd64");
    assert!(fs::read_to_string(files.join("out")).expect("read").starts_with("hello\n"));
    assert!(files.join("id").is_file() && files.join("work").is_dir());
    // Who has all the blobs already believes it as little.
    let built = machines.build("a", &["--no-cache-filter", "compile,1", "--cache-from", "type=local,src=d"]);
    assert_eq!(built.ran(), 2);

    rewrite(&folder, |document| {
        let steps = document["steps"].as_object_mut().expect("steps");
        let layers = steps.values_mut().filter_map(|step| step.get_mut("layer"));
        layers.for_each(|layer| layer["blob"]["size"] = json!(7));
    });
    let built = machines.build("c", &["--cache-from", "type=local,src=d"]);
    assert_eq!(built.ran(), 2);
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error_unless_it_is_said_to_be_none() {
    let Some(machines) = Machines::new(ONE) else { return };
    let registry = TestRegistry::open();
    let proxy = Proxy::before(&registry.address);
    let reference = format!("{}/cache:1", proxy.address);
    let denied = Fault::Answer(403, vec![], "{}".into());
    proxy.add("PUT", "/v2/cache/manifests/", usize::MAX, denied);
    let to = format!("type=registry,ref={reference}");
    let failed = machines.try_build("a", &["-t", "app:1", "--cache-to", &to]);
    failed.fails(8, &["cannot write the cache", &reference]);
    assert_eq!(machines.desk.ok(["--store", "a", "images", "--format", "json"]).trim(), "[]");
    let built = machines.build("a", &["-t", "app:1", "--cache-to", &format!("{to},ignore-error=true")]);
    let warnings = built.warnings();
    assert!(warnings[0].starts_with(&format!("the cache {reference} was not written: ")), "{warnings:?}");
    assert!(machines.desk.ok(["--store", "a", "images"]).contains("app"));

    fs::create_dir(machines.desk.path("taken")).expect("made");
    fs::write(machines.desk.path("taken/thesis.tex"), "x").expect("written");
    let taken = machines.try_build("a", &["--cache-to", "type=local,dest=taken"]);
    taken.fails(3, &["cannot write the cache", "taken", "not empty"]);
    let nobody = machines.try_build("a", &["--cache-to", "127.0.0.1:1/cache"]);
    nobody.fails(7, &["cannot write the cache 127.0.0.1:1/cache", "127.0.0.1:1"]);
}

#[test]
fn a_cache_never_takes_the_place_of_the_image() {
    let Some(machines) = Machines::new(ONE) else { return };
    for (tag, cache) in [("localhost:1/app", "localhost:1/app:latest"), ("app:1", "docker.io/library/app:1")]
    {
        let failed = machines.try_build("a", &["-t", tag, "--push", "--cache-to", cache]);
        failed.fails(2, &["the cache and the image cannot both be"]);
    }
}

#[test]
fn a_step_that_fails_is_not_tried_again_because_a_layer_is_not_to_be_had() {
    let Some(machines) = Machines::new(ONE) else { return };
    machines.build("a", &["--cache-to", "type=local,dest=min"]);
    machines
        .change("COPY --from=compile /out /out", "COPY --from=compile /out /other\nCOPY --from=bad /x /x");
    machines
        .change("FROM --platform", "FROM busybox AS bad\nRUN echo trying; sleep 1; exit 3\nFROM --platform");
    machines.change("FROM busybox", &format!("FROM {}", busybox().expect("it is there")));
    let failed = machines.try_build("b", &["--cache-from", "type=local,src=min"]);
    failed.fails(4, &["exit code 3"]);
    let printed = failed.stderr.lines().filter(|line| line.contains("step-output"));
    assert_eq!(printed.filter(|line| line.contains("trying")).count(), 1, "{}", failed.stderr);
}

#[test]
fn an_export_that_is_interrupted_moves_no_tag_and_no_name() {
    let Some(machines) = Machines::new(ONE) else { return };
    let registry = TestRegistry::open();
    let proxy = Proxy::before(&registry.address);
    proxy.add("PUT", "/v2/cache/manifests/sha256", usize::MAX, Fault::Stall);
    let to = format!("type=registry,ref={}/cache:1", proxy.address);
    let arguments = ["-t", "app:1", "--cache-to", &to];
    let mut command = machines.command("a", &arguments);
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("polyarch starts");
    let begun = Instant::now();
    while proxy.count("PUT /v2/cache/manifests/sha256") == 0 {
        assert!(begun.elapsed() < Duration::from_mins(1), "the export did not begin");
        thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(process.id()).expect("an id")), Signal::SIGINT).expect("sent");
    assert_eq!(process.wait().expect("ended").code(), Some(130));
    assert!(!has_tag(&format!("{}/cache:1", registry.address)));
    assert_eq!(machines.desk.ok(["--store", "a", "images", "--format", "json"]).trim(), "[]");
}

#[test]
fn machines_that_write_to_one_directory_at_once_leave_a_cache() {
    let Some(machines) = Machines::new(ONE) else { return };
    let names = ["a", "b", "c"];
    let mut processes = Vec::new();
    for name in names {
        let own = format!("type=local,dest=d,tag={name},mode=max");
        let mut command = machines.command(name, &["--cache-to", "type=local,dest=d", "--cache-to", &own]);
        processes.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("polyarch starts"));
    }
    for mut process in processes {
        assert!(process.wait().expect("ended").success());
    }
    for (number, name) in names.iter().enumerate() {
        let cache = format!("type=local,src=d,tag={name}");
        let built = machines.build(&format!("reader{number}"), &["--cache-from", &cache]);
        assert_eq!((built.ran(), built.warnings()), (0, vec![]));
    }
    assert_eq!(machines.build("reader", &["--cache-from", "type=local,src=d"]).ran(), 0);
}

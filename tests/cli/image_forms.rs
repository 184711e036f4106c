//! Images in the form that an output asks for: compression, media types, annotations, times.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use polyarch::oci::Store;
use serde_json::Value;

use crate::support::{
    buildah::{Registry, run},
    command::{Desk, ready},
    images::{Layer, Tar, image},
};

const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER: &str = "application/vnd.docker.";

/// Arguments that build an image of a base's layer and one of its own.
fn on_a_base(desk: &Desk) -> Vec<String> {
    let store = Store::open(desk.path("base")).expect("a store");
    let root = image(&store, &[Layer::of(&Tar::new().file("below", "below\n").end())]);
    let names = store.lock_names().expect("a lock");
    names.set(&"base".parse().expect("a name"), &root).expect("named");
    let context = desk.context("app", "FROM base\nCOPY a.txt /\n");
    let base = format!("base=oci-layout://{}@{}", store.root().display(), root.digest);
    ["build", "-q", "--platform", "linux/amd64", "--build-context", &base, &context]
        .map(str::to_owned)
        .to_vec()
}

fn with(build: &[String], output: &str) -> Vec<String> {
    build.iter().cloned().chain(["-o".into(), output.into()]).collect()
}

fn document(layout: &Path, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let hex = digest.strip_prefix("sha256:").expect("SHA-256");
    let path = layout.join("blobs/sha256").join(hex);
    assert!(run(Command::new("sha256sum").arg(&path)).starts_with(hex));
    assert_eq!(descriptor["size"], fs::metadata(&path).expect("a blob").len());
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

/// The index of a layout, its only image, and that one's config.
fn read(layout: &Path) -> [Value; 3] {
    let root: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("read")).expect("JSON");
    let index = document(layout, &root["manifests"][0]);
    let manifest = document(layout, &index["manifests"][0]);
    let config = document(layout, &manifest["config"]);
    [index, manifest, config]
}

fn types(manifest: &Value) -> Vec<&str> {
    let layers = manifest["layers"].as_array().expect("layers").iter();
    layers.map(|layer| layer["mediaType"].as_str().expect("a type")).collect()
}

#[test]
fn layers_of_the_build_are_compressed_as_asked_and_those_of_the_base_by_force() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let build = on_a_base(&desk);
    let mut diff_ids = BTreeSet::new();
    for (name, fields, expected) in [
        ("plain", "", [GZIP, GZIP]),
        ("zstd", ",compression=zstd", [GZIP, ZSTD]),
        ("forced", ",compression=zstd,compression-level=19,force-compression=true", [ZSTD, ZSTD]),
        (
            "open",
            ",compression=uncompressed,force-compression=true",
            ["application/vnd.oci.image.layer.v1.tar"; 2],
        ),
    ] {
        desk.ok(with(&build, &format!("type=oci,dest={name},tar=false{fields}")));
        let [_, manifest, config] = read(&desk.path(name));
        assert_eq!(types(&manifest), expected, "{name}");
        diff_ids.insert(config["rootfs"]["diff_ids"].to_string());
        // What compresses the layers does not matter to whoever unpacks them.
        let (copied, files) = (desk.path(&format!("{name}-copied")), desk.path(&format!("{name}-unpacked")));
        run(Command::new("skopeo")
            .args(["copy", "--dest-decompress"])
            .arg(format!("oci:{}", desk.path(name).display()))
            .arg(format!("dir:{}", copied.display())));
        fs::create_dir(&files).expect("a folder");
        let manifest: Value =
            serde_json::from_slice(&fs::read(copied.join("manifest.json")).expect("read")).expect("JSON");
        for layer in manifest["layers"].as_array().expect("layers") {
            let hex = &layer["digest"].as_str().expect("a digest")["sha256:".len()..];
            run(Command::new("tar").arg("-xf").arg(copied.join(hex)).arg("-C").arg(&files));
        }
        let text = |name: &str| fs::read_to_string(files.join(name)).expect(name);
        assert_eq!((text("below").as_str(), text("a.txt").as_str()), ("below\n", "hello\n"), "{name}");
    }
    assert_eq!(diff_ids.len(), 1, "the archives are the same");
    let digest = desk.ok(with(&build, "type=oci,dest=again,tar=false,compression=zstd"));
    assert_eq!(fs::read(desk.path("again/index.json")).ok(), fs::read(desk.path("zstd/index.json")).ok());
    let root = fs::read_to_string(desk.path("again/index.json")).expect("read");
    assert!(root.contains(digest.trim()), "what is told is not what went out: {digest}{root}");
}

#[test]
fn dockers_media_types_are_pushed_and_read_by_others() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), Registry::start());
    let build = on_a_base(&desk);
    let name = format!("{}/app:1", registry.address);
    desk.ok(with(&build, &format!("type=registry,name={name},oci-mediatypes=false")));
    let source = format!("docker://{name}");
    let raw = run(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &source]));
    let list: Value = serde_json::from_str(&raw).expect("JSON");
    for value in [&list["mediaType"], &list["manifests"][0]["mediaType"]] {
        assert!(value.as_str().is_some_and(|kind| kind.starts_with(DOCKER)), "{raw}");
    }
    let files = desk.unpack(&source, "amd64");
    assert_eq!(fs::read_to_string(files.join("a.txt")).expect("read"), "hello\n");

    desk.ok(with(&build, "type=oci,dest=layout,tar=false,oci-mediatypes=false"));
    let root: Value =
        serde_json::from_slice(&fs::read(desk.path("layout/index.json")).expect("read")).expect("JSON");
    let text = root["manifests"][0]["mediaType"].as_str().unwrap_or_default();
    assert!(text.starts_with(DOCKER), "{root}");
    let list = document(&desk.path("layout"), &root["manifests"][0]);
    let manifest = document(&desk.path("layout"), &list["manifests"][0]);
    assert!(types(&manifest).iter().all(|kind| *kind == "application/vnd.docker.image.rootfs.diff.tar.gzip"));
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.docker.container.image.v1+json");
}

#[test]
fn annotations_of_an_output_are_in_that_output_alone() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let mut build = on_a_base(&desk);
    build.extend(["--annotation", "of=all"].map(String::from));
    let fields = "annotation.m=1,annotation-index.i=2,annotation-manifest-descriptor[linux/amd64].d=3";
    let both =
        with(&with(&build, &format!("type=oci,dest=one,tar=false,{fields}")), "type=oci,dest=two,tar=false");
    desk.ok(both);
    let [index, manifest, _] = read(&desk.path("one"));
    assert_eq!(manifest["annotations"], serde_json::json!({"of": "all", "m": "1"}));
    assert_eq!(index["annotations"], serde_json::json!({"i": "2"}));
    assert_eq!(index["manifests"][0]["annotations"], serde_json::json!({"d": "3"}));
    let [index, manifest, _] = read(&desk.path("two"));
    assert_eq!(manifest["annotations"], serde_json::json!({"of": "all"}));
    assert_eq!(index["annotations"], Value::Null);
}

#[test]
fn nothing_that_the_build_has_made_is_later_than_the_source_date() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /d/\n");
    for backend in ["sandbox", "buildah"] {
        let output = format!("type=oci,dest={backend}.tar,rewrite-timestamp=true");
        let mut command = desk.command(["build", "--backend", backend, "-o", &output, &context]);
        let ended = command.env("SOURCE_DATE_EPOCH", "1500000000").output().expect("it runs");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let archive = format!("oci-archive:{}", desk.path(&format!("{backend}.tar")).display());
        let root = desk.unpack(&archive, polyarch_actors::Platform::host_linux().arch());
        let late = run(Command::new("find").arg(root.join("d")).args(["-newermt", "@1500000001"]));
        assert_eq!(late, "", "{backend}");
    }
    let undated = desk.run(["build", "-o", "type=oci,dest=x.tar,rewrite-timestamp=true", &context]);
    assert_eq!(undated.code, Some(0), "{}", undated.stderr);
    undated.says("rewrite-timestamp changes nothing without SOURCE_DATE_EPOCH");
}

#[test]
fn forms_that_contradict_each_other_are_refused_before_anything_is_built() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let docker = "type=oci,dest=a.tar,oci-mediatypes=false";
    for (arguments, words) in [
        (
            vec!["-o", "type=registry,compression=zstd", "-o", "type=registry", "-t", "127.0.0.1:1/a"],
            "two outputs push 127.0.0.1:1/a",
        ),
        (vec!["-o", docker, "--annotation", "a=b"], "have no annotations"),
        (vec!["-o", docker, "--provenance=true"], "have no attestations"),
        (vec!["-o", "type=oci,dest=a.tar,oci-mediatypes=false,compression=zstd"], "have no layers with zstd"),
        (vec!["-o", "type=oci,dest=a.tar,annotation[linux/s390x].a=b"], "linux/s390x"),
        (vec!["-o", "type=oci,dest=a.tar,compression=brotli"], "no compression (gzip, zstd, uncompressed)"),
    ] {
        let arguments = ["build"].into_iter().chain(arguments).chain([context.as_str()]);
        desk.run(arguments).fails(2, &[words]);
        assert!(!desk.path("a.tar").exists());
    }
}

//! The main job: one command builds one image for several platforms and publishes one index.

use std::{fs, process::Command};

use crate::support::{
    buildah::run,
    command::{Desk, config_of, platforms, raw, raw_json, ready},
    registry::TestRegistry,
};

const HELLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello");
const BOTH: &str = "linux/amd64,linux/arm64";

#[test]
fn one_command_builds_two_platforms_and_pushes_an_index_that_other_tools_accept() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let name = format!("{}/hello:1", registry.address);
    let printed = desk.ok(["build", "-t", &name, "--platform", BOTH, "--push", HELLO]);
    assert_eq!(printed, "", "only -q prints a result");

    let index = raw_json(&name);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"]);
    for architecture in ["amd64", "arm64"] {
        let config = config_of(&format!("docker://{name}"), architecture);
        assert_eq!(config["architecture"], architecture);
        assert!(config["config"]["Env"].to_string().contains(&format!("PLATFORM=linux/{architecture}")));
        let files = desk.unpack(&format!("docker://{name}"), architecture);
        let notes = fs::read_to_string(files.join("notes.txt")).expect("read");
        assert_eq!(notes, format!("This is the {architecture} variant.\n"));
        assert!(files.join("greeting.txt").is_file());
    }
    let copy = format!("dir:{}", desk.path("copy").display());
    run(Command::new("skopeo")
        .args(["copy", "--quiet", "--all", "--preserve-digests", "--src-tls-verify=false"])
        .args([&format!("docker://{name}"), &copy]));
    for architecture in ["amd64", "arm64"] {
        let mut buildah = Command::new("buildah");
        buildah.arg("--root").arg(desk.path("root")).arg("--runroot").arg(desk.path("run"));
        buildah.args(["--storage-driver", "vfs", "pull", "--quiet", "--tls-verify=false", "--platform"]);
        assert!(!run(buildah.arg(format!("linux/{architecture}")).arg(&name)).is_empty());
    }
}

#[test]
fn entries_are_in_the_requested_order_and_equal_builds_have_equal_digests() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let name = |tag: &str| format!("{}/hello:{tag}", registry.address);
    let build = |platforms: &str, tag: &str| {
        desk.ok(["build", "-q", "--push", "-t", &name(tag), "--platform", platforms, HELLO])
    };
    let first = build(BOTH, "1");
    let reversed = build("linux/arm64,linux/amd64", "2");
    let again = build(BOTH, "3");
    assert_eq!(platforms(&raw_json(&name("2"))), ["linux/arm64", "linux/amd64"]);
    assert_ne!(first, reversed);
    assert_eq!(first, again);
    assert_eq!(raw(&name("1")), raw(&name("3")));
    let digest = run(Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--format={{.Digest}}"])
        .args(["--override-arch=amd64", &format!("docker://{}", name("1"))]));
    assert_eq!(digest, first);
}

#[test]
fn every_tag_gets_the_index_in_the_store_and_in_its_registry() {
    if !ready() {
        return;
    }
    let (desk, one, two) = (Desk::new(), TestRegistry::open(), TestRegistry::open());
    let names =
        [format!("{}/a:1", one.address), format!("{}/b/c:2", one.address), format!("{}/a:1", two.address)];
    let tags = names.iter().flat_map(|name| ["-t", name]);
    let digest = desk.ok(["build", "-q", "--push", "--platform", BOTH, HELLO].into_iter().chain(tags));
    for name in &names {
        assert_eq!(
            raw(name),
            fs::read(desk.store().join("blobs/sha256").join(digest.trim().replace("sha256:", "")))
                .expect("read")
        );
    }
    let mut listed = desk.names();
    listed.sort();
    let mut names = names.to_vec();
    names.sort();
    assert_eq!(listed, names);
}

#[test]
fn what_is_pushed_by_digest_has_no_tag_until_an_index_has_it() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let name = format!("{}/hello", registry.address);
    let output = format!("type=image,name={name},push-by-digest=true,name-canonical=true,push=true");
    for architecture in ["amd64", "arm64"] {
        let (platform, receipt) = (format!("linux/{architecture}"), format!("{architecture}.json"));
        let build = ["--store", architecture, "build", "-q", "--platform", &platform, "--receipt", &receipt];
        let digest = desk.ok(build.into_iter().chain(["-o", &output, HELLO]));
        let index = raw_json(&format!("{name}@{}", digest.trim()));
        let manifest = index["manifests"][0]["digest"].as_str().expect("a digest");
        assert!(raw_json(&format!("{name}@{manifest}"))["layers"].is_array());
    }
    desk.ok(["index", "create", "-t", &format!("{name}:1"), "amd64.json", "arm64.json"]);
    assert_eq!(platforms(&raw_json(&format!("{name}:1"))), ["linux/amd64", "linux/arm64"]);
    let source = format!("docker://{name}");
    let listed = run(Command::new("skopeo").args(["list-tags", "--tls-verify=false", &source]));
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("json");
    assert_eq!(listed["Tags"], serde_json::json!(["1"]));
    desk.run(["build", "-t", &format!("{name}:2"), "-o", &output, HELLO])
        .fails(2, &["hello:2 by digest: it has a tag"]);
}

#[test]
fn an_archive_is_an_oci_layout_with_the_index() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    desk.ok(["build", "--platform", BOTH, "--output", "type=oci,dest=hello.tar", HELLO]);
    let archive = format!("oci-archive:{}", desk.path("hello.tar").display());
    let index = run(Command::new("skopeo").args(["inspect", "--raw", &archive]));
    let index = serde_json::from_str(&index).expect("json");
    assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"]);
    let copy = format!("dir:{}", desk.path("copy").display());
    run(Command::new("skopeo").args(["copy", "--quiet", "--all", "--preserve-digests", &archive, &copy]));
    for architecture in ["amd64", "arm64"] {
        let files = desk.unpack(&archive, architecture);
        assert!(fs::read_to_string(files.join("notes.txt")).expect("read").contains(architecture));
    }
}

#[test]
fn a_layout_folder_has_every_name_and_equals_the_archive() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let outputs = ["-o", "type=oci,dest=layout,tar=false", "-o", "type=oci,dest=hello.tar"];
    desk.ok(["build", "-t", "hello:1", "-t", "hello:2", "--platform", BOTH, HELLO]
        .into_iter()
        .chain(outputs));
    for tag in ["1", "2"] {
        let files = desk.unpack(&format!("oci:{}:{tag}", desk.path("layout").display()), "arm64");
        assert!(files.join("greeting.txt").is_file());
    }
    fs::create_dir(desk.path("unpacked")).expect("a folder");
    run(Command::new("tar").arg("-xf").arg(desk.path("hello.tar")).arg("-C").arg(desk.path("unpacked")));
    run(Command::new("diff").arg("-r").arg(desk.path("layout")).arg(desk.path("unpacked")));
}

#[test]
fn an_archive_goes_to_standard_output_alone() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let ended = desk.run(["build", "--platform", BOTH, "-o", "type=oci,dest=-", HELLO]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    fs::write(desk.path("hello.tar"), &ended.stdout).expect("written");
    let archive = format!("oci-archive:{}", desk.path("hello.tar").display());
    assert!(desk.unpack(&archive, "arm64").join("greeting.txt").is_file());
}

#[test]
fn an_archive_for_a_pipe_or_device_leaves_it_in_place() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    run(Command::new("mkfifo").arg(desk.path("pipe")));
    let reader = Command::new("cat")
        .arg(desk.path("pipe"))
        .stdout(fs::File::create(desk.path("read.tar")).expect("a file"))
        .spawn();
    desk.ok(["build", "-o", "type=oci,dest=pipe", "--platform", "linux/amd64", HELLO]);
    assert!(reader.expect("cat").wait().expect("ended").success());
    assert!(
        desk.unpack(&format!("oci-archive:{}", desk.path("read.tar").display()), "amd64")
            .join("greeting.txt")
            .is_file()
    );
    run(Command::new("test").arg("-p").arg(desk.path("pipe")));

    std::os::unix::fs::symlink("target.tar", desk.path("link.tar")).expect("linked");
    fs::write(desk.path("target.tar"), "old").expect("written");
    desk.ok(["build", "-o", "type=oci,dest=link.tar", "--platform", "linux/amd64", HELLO]);
    assert!(desk.path("link.tar").is_symlink());
    assert_eq!(
        fs::read(desk.path("target.tar")).expect("read"),
        fs::read(desk.path("read.tar")).expect("read")
    );
}

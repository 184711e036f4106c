//! Whole builds by the command, with the containers of Windows that the calls make.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::scene::{Scene, alone};

const DOCKERFILE: &str = "FROM base\nCOPY hello.txt C:/app/\nWORKDIR C:/app\n\
    RUN type hello.txt & echo first>one.txt\nRUN type one.txt & del hello.txt\n";

/// Puts a blob into a layout. Returns its descriptor.
fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest =
        Sha256::digest(bytes).iter().fold(String::new(), |digest, byte| digest + &format!("{byte:02x}"));
    fs::write(layout.join("blobs/sha256").join(&digest), bytes).expect("a blob");
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
}

/// A layer with the two folders that every base of Windows has, and a file.
fn layer() -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for (name, attributes, kind) in [
        ("Files", "16", tar::EntryType::Directory),
        ("Files/base.txt", "32", tar::EntryType::Regular),
        ("Hives", "16", tar::EntryType::Directory),
    ] {
        layer.append_pax_extensions([("MSWINDOWS.fileattr", attributes.as_bytes())]).expect("a header");
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(0);
        layer.append_data(&mut header, name, std::io::empty()).expect("a member");
    }
    layer.into_inner().expect("an archive")
}

/// Makes a context, and beside it a layout with a base.
fn prepare(scene: &Scene) {
    let (layout, context) = (scene.folder.join("base"), scene.folder.join("context"));
    fs::create_dir_all(layout.join("blobs/sha256")).expect("a folder");
    let layer = blob(&layout, "application/vnd.oci.image.layer.v1.tar", &layer());
    let config = json!({
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.20348.2402",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = blob(&layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer] });
    let mut manifest = blob(&layout, media_type, manifest.to_string().as_bytes());
    manifest["platform"] =
        json!({ "os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2402" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).expect("an index");
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a layout");
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("Dockerfile"), DOCKERFILE).expect("a Dockerfile");
    fs::write(context.join("hello.txt"), "hello there\n").expect("a file");
}

/// Builds it.
fn build(scene: &Scene) -> Output {
    // Where the compiler has put it, in the words of this system.
    let program = std::path::absolute(env!("CARGO_BIN_EXE_polyarch")).expect("a path");
    let fixed = ["build", "--store", "store", "--progress", "plain", "--platform", "windows/amd64"];
    let mut command = Command::new(program);
    command.args(fixed).args(["--build-context", "base=oci-layout://base", "--output", "built", "context"]);
    command.current_dir(&scene.folder).output().expect("the program")
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn a_dockerfile_is_built_in_containers_that_are_gone_afterwards() {
    alone(
        concat!(module_path!(), "::a_dockerfile_is_built_in_containers_that_are_gone_afterwards"),
        |scene| {
            prepare(scene);
            let output = build(scene);
            let said = said(&output);
            assert!(output.status.success(), "{said}");
            assert!(said.contains("hello there") && said.contains("first"), "{said}");
            assert_eq!(scene.left(), Vec::<String>::new());
        },
    );
}

#[test]
fn what_a_killed_build_leaves_goes_with_the_next_one() {
    alone(concat!(module_path!(), "::what_a_killed_build_leaves_goes_with_the_next_one"), |scene| {
        prepare(scene);
        scene.fail("HcsCreateProcess", "1 die-after");
        let output = build(scene);
        assert!(!output.status.success(), "{}", said(&output));
        // The container has ended with who had it, and its disk is still there.
        let left = scene.left();
        assert_eq!(left.len(), 3, "{left:?}");
        let output = build(scene);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

//! What no system may make differently.

use std::{fs, path::Path};

use crate::support::layouts::{Ended, Files, Layout, polyarch, windows_base};

/// Puts a Dockerfile that runs nothing, and what it copies, into the folder `context`. Every mode is the one that files
/// have where there are none.
fn context(folder: &Path) {
    let context = folder.join("context");
    fs::create_dir_all(context.join("sub/inner")).expect("a folder");
    let dockerfile =
        "FROM scratch AS linux\nFROM base AS windows\nFROM ${TARGETOS} AS all\nCOPY . /app/\nLABEL it=is\n";
    for (name, text) in [
        ("a.txt", "a\n"),
        ("sub/inner/b.txt", "b\n"),
        ("left.tmp", "ignored"),
        (".dockerignore", "*.tmp\nDockerfile\n.dockerignore\n"),
        ("Dockerfile", dockerfile),
    ] {
        fs::write(context.join(name), text).expect("a file");
    }
    #[cfg(unix)]
    for name in ["", "sub", "sub/inner", "a.txt", "sub/inner/b.txt"] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(context.join(name), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    windows_base(&folder.join("base"));
}

/// Builds it for three platforms.
fn build(folder: &Path, output: &str) -> Ended {
    let mut command = polyarch(folder);
    command.args(["build", "--store", "store", "--progress", "plain", "--output", output]);
    command.args(["--platform", "linux/amd64,linux/arm64,windows/amd64"]);
    command.args(["--build-context", "base=oci-layout://base", "context"]);
    command.args(["--build-arg", "SOURCE_DATE_EPOCH=1700000000"]);
    command.output().expect("the program").into()
}

fn file(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

#[test]
fn every_system_makes_the_same_index() {
    let folder = tempfile::tempdir().expect("a folder");
    context(folder.path());
    build(folder.path(), "type=oci,dest=out,tar=false").ok();
    let layout = Layout(folder.path().join("out"));
    let (index, digest) = layout.index();
    let images = index["manifests"].as_array().expect("images");
    let systems: Vec<_> = images.iter().map(|image| &image["platform"]["os"]).collect();
    assert_eq!(systems, ["linux", "linux", "windows"]);
    let expected: [Files; 1] = [vec![file("app/a.txt", "a\n"), file("app/sub/inner/b.txt", "b\n")]];
    assert_eq!(layout.layers(), expected);
    assert_eq!(digest, "sha256:22204c6e07575bf5feb6af5f34e2d8917e9909fa16c384b5509baabcb9e873ac");
}

#[test]
fn a_second_build_takes_every_step_from_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    context(folder.path());
    build(folder.path(), "type=oci,dest=out.tar").ok();
    let said = build(folder.path(), "type=local,dest=files").ok();
    assert!(said.to_lowercase().contains("cached"), "{said}");
    for platform in ["linux_amd64", "linux_arm64", "windows_amd64"] {
        let path = folder.path().join("files").join(platform).join("app/sub/inner/b.txt");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "b\n");
    }
}

//! What only a real Mac can tell, each started on purpose: `docs/windows-and-macos.md` says how.

use std::{
    fs,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A folder to work in and a store of one's own in it, both gone after the test.
struct Desk(tempfile::TempDir);

impl Desk {
    /// With the context `app`, which has the file `a.txt`.
    fn new(dockerfile: &str) -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        let context = desk.0.path().join("app");
        fs::create_dir(&context).expect("a folder");
        fs::write(context.join("Dockerfile"), dockerfile).expect("a Dockerfile");
        fs::write(context.join("a.txt"), "hello\n").expect("a file");
        desk
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command.env("POLYARCH_STORE", self.0.path().join("store")).env_remove("POLYARCH_BACKEND");
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("the command");
        (status.code(), [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
    }

    /// A document of the layout `out`.
    fn document(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.blob(descriptor)).expect("json")
    }

    fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        let blobs = self.0.path().join("out/blobs/sha256");
        fs::read(blobs.join(digest.expect("a digest"))).expect("a blob")
    }
}

#[test]
#[ignore = "needs macOS"]
fn images_of_two_systems_without_run_are_put_together() {
    let desk =
        Desk::new("FROM scratch\nCOPY --chmod=755 a.txt /App/\nCOPY a.txt /app/\nCMD [\"/App/a.txt\"]\n");
    let platforms = "linux/amd64,linux/arm64";
    let output = "type=oci,tar=false,dest=out";
    let (code, said) = desk.run(&["build", "--platform", platforms, "-o", output, "app"]);
    assert_eq!(code, Some(0), "{said}");
    let outer = fs::read(desk.0.path().join("out/index.json")).expect("an index");
    let outer: Value = serde_json::from_slice(&outer).expect("json");
    let index = desk.document(&outer["manifests"][0]);
    let images = index["manifests"].as_array().expect("entries");
    let cpus: Vec<_> = images.iter().filter_map(|image| image["platform"]["architecture"].as_str()).collect();
    assert_eq!(cpus, ["amd64", "arm64"]);
    for image in images {
        let manifest = desk.document(image);
        // The disk of a Mac takes names that differ in case for one; layers do not.
        let members: Vec<String> = manifest["layers"]
            .as_array()
            .expect("layers")
            .iter()
            .flat_map(|layer| {
                let blob = desk.blob(layer);
                let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&blob[..]));
                let members = archive.entries().expect("members").map(|member| {
                    let member = member.expect("a member");
                    let mode = member.header().mode().expect("a mode") & 0o777;
                    format!("{} {mode:o}", member.path().expect("a name").display())
                });
                members.collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(members, ["App/ 755", "App/a.txt 755", "app/ 755", "app/a.txt 644"]);
    }
}

#[test]
#[ignore = "needs macOS"]
fn a_step_is_refused_with_the_ways_out() {
    let desk = Desk::new("FROM docker.io/library/busybox\nRUN true\n");
    let (code, said) = desk.run(&["build", "--platform", "linux/arm64", "app"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("podman machine"), "{said}");
}

#[test]
#[ignore = "needs macOS"]
fn what_a_killed_build_leaves_goes_with_the_next_command() {
    let desk = Desk::new("FROM scratch\nCOPY . /\n");
    // Bytes that take long to compress.
    let bytes: Vec<u8> =
        (0..256_u64 << 20).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    fs::write(desk.0.path().join("app/large"), bytes).expect("written");
    let mut build = desk.command(&["build", "--platform", "linux/arm64", "app"]);
    let mut build = build.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command");
    let scratch = desk.0.path().join("store/tmp");
    let count = || fs::read_dir(&scratch).map_or(0, Iterator::count);
    let begun = Instant::now();
    while count() == 0 {
        assert_eq!(build.try_wait().expect("the build"), None, "it ended too early");
        assert!(begun.elapsed() < Duration::from_secs(30), "it does nothing");
        thread::sleep(Duration::from_millis(1));
    }
    build.kill().and_then(|()| build.wait()).expect("it is killed");
    assert_ne!(count(), 0, "a killed build cleans nothing up");
    assert_eq!(desk.run(&["images"]).0, Some(0));
    assert_eq!(count(), 0);
}

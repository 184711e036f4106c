//! What is larger than the disk.

use std::{fs, process::Command};

use polyarch::actors::Descriptor;

use super::Yard;
use crate::support::{
    command::{Ended, is_root},
    images::{Layer, image},
};

/// Builds with the command, on a store whose disk has 40 MB. Prints what is left there afterwards.
fn build(yard: &Yard, evil: Option<&Descriptor>, dockerfile: &str) -> Ended {
    fs::create_dir_all(yard.path().join("context")).expect("a context");
    fs::write(yard.path().join("context/Dockerfile"), dockerfile).expect("written");
    fs::create_dir_all(yard.path().join("small")).expect("a folder");
    let script = "mount -t tmpfs -o size=40m,nr_inodes=20000 none small && \"$@\"; code=$?; \
                  find small -type f -size +2M -printf '%P %b\\n'; exit $code";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_polyarch")]);
    command.args(["--store", "small/store", "build", "-q", "--backend", "sandbox", "context"]);
    if let Some(evil) = evil {
        let index = yard.store.root().join("index.json");
        fs::write(index, "{\"schemaVersion\":2,\"manifests\":[]}").expect("written");
        let layout = format!("evil=oci-layout://{}@{}", yard.store.root().display(), evil.digest);
        command.args(["--build-context", &layout]);
    }
    command.current_dir(yard.path()).env("HOME", yard.path());
    Ended::of(&mut command)
}

/// That the disk was full, and nothing is there that is as large as what filled it.
fn is_refused(ended: &Ended) {
    assert_ne!(ended.code, Some(0), "{}", ended.stderr);
    ended.says("no space left");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "", "{}", ended.stderr);
}

#[test]
fn what_fills_the_disk_is_said_and_nothing_of_it_stays() {
    if !is_root() {
        return;
    }
    let yard = Yard::new();
    let context = yard.path().join("context");
    fs::create_dir_all(&context).expect("a context");
    fs::write(context.join("a.txt"), "x").expect("written");
    fs::copy("/bin/busybox", context.join("busybox")).expect("busybox");
    let evil = image(&yard.store, &[Layer::of_one_byte(b'x', 60)]);
    let run = "RUN [\"/busybox\", \"true\"]\n";
    for (evil, dockerfile) in [
        (Some(&evil), "FROM scratch\nCOPY --from=evil /file /f\n".to_owned()),
        (Some(&evil), format!("FROM evil\nCOPY busybox /\n{run}")),
        (None, "FROM scratch\nCOPY busybox /\nRUN [\"/busybox\", \"dd\", \"if=/dev/urandom\", \"of=/f\", \"bs=1M\"]\n".to_owned()),
    ] {
        is_refused(&build(&yard, evil, &dockerfile));
    }
    // What no program can make smaller.
    let noise = fs::File::create(context.join("noise")).expect("a file");
    let random = fs::File::open("/dev/urandom").expect("noise");
    std::io::copy(&mut std::io::Read::take(random, 60 << 20), &mut &noise).expect("written");
    is_refused(&build(&yard, None, "FROM scratch\nCOPY noise /\n"));
}

#[test]
fn zeros_fill_no_disk() {
    if !is_root() {
        return;
    }
    let yard = Yard::new();
    let context = yard.path().join("context");
    fs::create_dir_all(&context).expect("a context");
    fs::copy("/bin/busybox", context.join("busybox")).expect("busybox");
    let sparse = image(&yard.store, &[Layer::of_one_byte(0, 60)]);
    for dockerfile in [
        "FROM scratch\nCOPY --from=evil /file /f\n",
        "FROM evil\nCOPY busybox /\nRUN [\"/busybox\", \"test\", \"-s\", \"/file\"]\n",
    ] {
        let ended = build(&yard, Some(&sparse), dockerfile);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

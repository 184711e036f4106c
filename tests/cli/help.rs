//! What the command says about itself and this machine.

use std::{fs, process::Command};

use serde_json::Value;

use crate::support::{
    buildah::run,
    command::{Desk, Ended, ready},
};

#[test]
fn help_is_a_success_and_no_command_is_a_mistake() {
    let desk = Desk::new();
    let help = desk.ok(["--help"]);
    for word in ["build", "backends", "manifest", "Exit codes:", "143", "POLYARCH_STORE"] {
        assert!(help.contains(word), "{word}");
    }
    for command in ["build", "push", "tag", "images", "du", "prune", "manifest", "completion", "backends"] {
        assert!(desk.ok([command, "--help"]).contains("Usage: polyarch"));
    }
    assert_eq!(desk.ok(["--version"]), concat!("polyarch ", env!("CARGO_PKG_VERSION"), "\n"));
    let nothing = desk.run([""; 0]);
    assert_eq!(nothing.code, Some(2));
    nothing.says("Usage: polyarch");
    desk.run(["biuld"]).fails(2, &["biuld"]);
    desk.run(["build", "--no-such-flag", "."]).fails(2, &["--no-such-flag"]);
    assert!(!desk.store().exists(), "asking makes no store");
}

#[test]
fn shells_accept_their_completions() {
    let desk = Desk::new();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = desk.ok(["completion", shell]);
        assert!(script.contains("polyarch") && script.contains("iidfile"));
        let path = desk.path(shell);
        fs::write(&path, script).expect("written");
        let there = Command::new(shell).arg("--version").output().is_ok();
        if there || shell == "bash" {
            assert_eq!(run(Command::new(shell).arg(check).arg(&path)), "");
        }
    }
    desk.run(["completion", "tcsh"]).fails(2, &["tcsh", "<SHELL>"]);
}

#[test]
fn backends_are_described_for_people_and_for_programs() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let text = desk.ok(["backends"]);
    assert!(text.starts_with("sandbox: usable (native engine "), "{text}");
    assert!(text.contains("\nbuildah: usable (buildah 1."), "{text}");
    let host = polyarch_actors::Platform::host_linux().to_string();
    let native = text.lines().find(|line| line.trim_start().starts_with("native")).expect("a line");
    assert!(native.contains(&host), "{text}");
    let list: Value = serde_json::from_str(&desk.ok(["backends", "--format", "json"])).expect("json");
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&"sandbox".into(), &"buildah".into()));
    assert!(list[0]["capabilities"]["native"].as_array().expect("a list").contains(&host.into()));
}

#[test]
fn a_missing_backend_says_what_to_install() {
    let desk = Desk::new();
    let empty = desk.path("empty");
    fs::create_dir(&empty).expect("a folder");
    let text = Ended::of(desk.command(["backends"]).env("PATH", &empty)).success();
    let (_, buildah) = text.split_once("\nbuildah: not usable: ").expect("a line");
    assert!(buildah.contains("hint: ") && buildah.contains("install buildah"), "{text}");
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let forced = ["build", "--backend", "buildah", &context];
    Ended::of(desk.command(forced).env("PATH", &empty)).fails(5, &["no backend here", "buildah"]);
    // The native engine needs nothing of all that.
    let ended = Ended::of(desk.command(["build", &context]).env("PATH", &empty));
    ended.says("[linux/amd64] sandbox: ");
    ended.success();
}

#[test]
fn explaining_says_where_and_why_and_builds_nothing() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let platforms = "linux/amd64,linux/s390x";
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let text = desk.ok(["build", "--explain", "-t", "app:1", "--platform", platforms, &context]);
    let platforms = text.lines().filter(|line| !line.starts_with(' '));
    let starts: Vec<&str> = platforms.filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert!(text.contains("    not buildah: could build it too, and comes later in the order\n"), "{text}");
    assert_eq!(starts, ["linux/amd64", "linux/s390x"], "{text}");
    let context = desk.context("windows", "FROM scratch\nRUN dir\n");
    let ended = desk.run(["build", "--explain", "--platform", "windows/amd64", &context]);
    ended.fails(5, &["windows/amd64"]);
    ended.says("hint: ");
    assert!(String::from_utf8_lossy(&ended.stdout).starts_with("windows/amd64: nowhere"));
    assert_eq!(desk.names(), [""; 0]);
    assert_eq!(fs::read_dir(desk.store().join("blobs/sha256")).expect("a folder").count(), 0);
}

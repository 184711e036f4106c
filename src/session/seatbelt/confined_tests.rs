use std::{
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use super::*;

/// A folder with a program that takes what `sandbox-exec` takes, and no more, and confines nothing.
struct Scene {
    folder: tempfile::TempDir,
    seatbelt: Seatbelt,
}

const STAND_IN: &str = r#"#!/bin/sh
[ "$1" = -f ] && [ -r "$2" ] || exit 64
cp "$2" "${0%/*}/profile"
shift 2
: > "${0%/*}/parameters"
while [ "$1" = -D ]; do
  case "$2" in [A-Z]*=/*) echo "$2" >> "${0%/*}/parameters" ;; *) exit 64 ;; esac
  shift 2
done
exec "$@"
"#;

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["root", "home"] {
            fs::create_dir(folder.path().join(name)).expect("made");
        }
        let program = folder.path().join("sandbox-exec");
        fs::write(&program, STAND_IN).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        Self { seatbelt: Seatbelt::new(program), folder }
    }

    fn shell(&self, script: &str) -> Confined {
        Confined {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            rootfs: self.folder.path().join("root"),
            home: self.folder.path().join("home"),
            network: false,
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).expect("a file")
    }
}

async fn run(scene: &Scene, script: &str) -> (Ended, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = |stream: Stream, bytes: &[u8]| match stream {
        Stream::Stdout => out.extend_from_slice(bytes),
        Stream::Stderr => err.extend_from_slice(bytes),
    };
    let ended = scene.seatbelt.run(&scene.shell(script), &mut output, &CancellationToken::new()).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (ended.expect("it ended"), text(out), text(err))
}

/// Waits until the script has written its number and that of what it left running.
async fn numbers(scene: &Scene) -> Vec<i32> {
    let path = scene.folder.path().join("root/numbers");
    for _ in 0..500 {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let numbers: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if numbers.len() == 2 {
            return numbers;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the program does not run");
}

fn runs(number: i32) -> bool {
    let output = std::process::Command::new("ps").args(["-o", "stat=", "-p", &number.to_string()]).output();
    let state = String::from_utf8_lossy(&output.expect("ps").stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// Leaves a process running, and says which, when all else is written.
const LEAVES: &str = "echo $TMPDIR > place; sleep 600 & echo $! > new; echo $$ >> new; mv new numbers; ";

#[tokio::test]
async fn a_program_runs_under_its_profile_in_its_own_place() {
    let scene = Scene::new();
    let (ended, out, err) =
        run(&scene, "pwd -P; echo \"$HOME\"; echo two >&2; test -w \"$TMPDIR\"; exit 7").await;
    let root = fs::canonicalize(scene.folder.path().join("root")).expect("a path");
    assert_eq!((ended, out, &*err), (Ended::Code(7), format!("{}\n\n", root.display()), "two\n"));
    assert!(scene.read("profile").starts_with("(version 1)\n(deny default)\n"));
    assert!(scene.read("profile").contains("(deny network*)"));
    assert!(scene.read("parameters").contains(&format!("ROOTFS={}\n", root.display())));
    assert_eq!(run(&scene, "kill -9 $$").await.0, Ended::Signal(9));
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it() {
    let scene = Scene::new();
    let begun = Instant::now();
    assert_eq!(run(&scene, &format!("{LEAVES} exit 0")).await.0, Ended::Code(0));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(numbers(&scene).await.into_iter().all(|number| !runs(number)));
    assert!(!Path::new(scene.read("root/place").trim()).exists());
}

#[tokio::test]
async fn a_cancelled_program_is_gone_with_all_it_started() {
    let scene = Scene::new();
    let (confined, cancel) = (scene.shell(&format!("{LEAVES} wait")), CancellationToken::new());
    let mut output = |_: Stream, _: &[u8]| {};
    let running = scene.seatbelt.run(&confined, &mut output, &cancel);
    let cancelled = async {
        let numbers = numbers(&scene).await;
        assert!(numbers.iter().all(|number| runs(*number)));
        cancel.cancel();
        numbers
    };
    let (ended, numbers) = tokio::join!(running, cancelled);
    assert!(matches!(ended, Err(SeatbeltError::Cancelled)), "{ended:?}");
    assert!(numbers.into_iter().all(|number| !runs(number)));
    assert!(!Path::new(scene.read("root/place").trim()).exists());
}

#[tokio::test]
async fn a_program_whose_future_is_dropped_is_killed() {
    let scene = Scene::new();
    let (confined, cancel) = (scene.shell(&format!("{LEAVES} wait")), CancellationToken::new());
    let numbers = {
        let mut output = |_: Stream, _: &[u8]| {};
        let running = scene.seatbelt.run(&confined, &mut output, &cancel);
        tokio::select! {
            ended = running => panic!("{ended:?}"),
            numbers = numbers(&scene) => numbers,
        }
    };
    for _ in 0..500 {
        if numbers.iter().all(|number| !runs(*number)) {
            return assert!(!Path::new(scene.read("root/place").trim()).exists());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it goes on");
}

#[tokio::test]
async fn what_cannot_be_started_is_said() {
    let scene = Scene::new();
    let mut output = |_: Stream, _: &[u8]| {};
    let cancel = CancellationToken::new();
    let absent = Seatbelt::new("/nowhere/sandbox-exec");
    let error = absent.run(&scene.shell("true"), &mut output, &cancel).await.expect_err("nothing there");
    assert_eq!(error.to_string(), "cannot run /nowhere/sandbox-exec");
    let confined = Confined { rootfs: "/nowhere".into(), ..scene.shell("true") };
    let error = scene.seatbelt.run(&confined, &mut output, &cancel).await.expect_err("no root");
    assert_eq!(error.to_string(), "cannot find out where /nowhere is");
}

#[cfg(target_os = "macos")]
#[path = "real_tests.rs"]
mod real;

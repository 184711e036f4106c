//! Processes that die in the middle of a build, and the next one.

use std::{env, path::PathBuf, process::Command};

use super::scene::{HOST, Scene};
use crate::backend::hcs::fake::{FakeWindows, Moment};

const DOCKERFILE: &str = "FROM base\nRUN write C:\\made.txt one & reg System_Delta x\n";
/// Where the process that dies works, and when it dies.
const FOLDER: &str = "POLYARCH_TEST_HCS_FOLDER";
const DIES: &str = "POLYARCH_TEST_HCS_DIES";
/// How a process exits that died.
const DEAD: i32 = 77;

/// A scene whose Windows is kept in the folder.
pub(super) fn kept(folder: &std::path::Path) -> Scene {
    Scene::at(folder, FakeWindows::kept(&folder.join("windows.json"), HOST), HOST)
}

/// Builds in a process of its own, which dies at a moment. Returns whether it did.
pub(super) fn dies(folder: &std::path::Path, moment: Moment) -> bool {
    let program = env::current_exe().expect("this program");
    let status = Command::new(program)
        .args(["--exact", "backend::hcs::tests::crashed::the_process_that_dies", "--ignored"])
        .env(FOLDER, folder)
        .env(DIES, serde_json::to_string(&moment).expect("json"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("a process");
    assert!(status.success() || status.code() == Some(DEAD), "{moment:?}: {status}");
    status.code() == Some(DEAD)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "other tests start it as a process, and let it die"]
async fn the_process_that_dies() {
    let (Some(folder), Ok(moment)) = (env::var_os(FOLDER), env::var(DIES)) else { return };
    let scene = kept(&PathBuf::from(folder));
    scene.windows.dies(Some(serde_json::from_str(&moment).expect("a moment")));
    scene.build(DOCKERFILE).await.result.expect("an image");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_at_any_call_leaves_nothing_after_the_next_start() {
    let mut calls = 0;
    loop {
        calls += 1;
        let mut died = false;
        for moment in [Moment::Before(calls), Moment::After(calls)] {
            let temporary = tempfile::tempdir().expect("a folder");
            let folder = temporary.path().to_owned();
            died |= tokio::task::spawn_blocking(move || dies(&folder, moment)).await.expect("a process");
            let scene = kept(temporary.path());
            let built = scene.build(DOCKERFILE).await;
            let image = built.result.unwrap_or_else(|error| panic!("after {moment:?}: {error}"));
            if built.cached == 0 {
                assert_eq!(scene.made(&image).len(), 1, "after {moment:?}");
            }
            scene.assert_clean();
        }
        if !died {
            break;
        }
    }
    assert!(calls > 20, "a build asks for more than {calls} things");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_while_it_cleans_up_after_another_leaves_nothing_in_the_end() {
    let moments = tokio::task::spawn_blocking(|| {
        // In the middle of a step, when there is a container.
        let has_container = |calls: &usize| {
            let temporary = tempfile::tempdir().expect("a folder");
            let dead = dies(temporary.path(), Moment::After(*calls));
            let windows = FakeWindows::kept(&temporary.path().join("windows.json"), HOST);
            dead && windows.left().len() > 1
        };
        (1..200).find(has_container).expect("a process that dies with a container")
    });
    let first = moments.await.expect("a moment");
    for second in 1..12 {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path().to_owned();
        let died = tokio::task::spawn_blocking(move || {
            dies(&folder, Moment::After(first)) && dies(&folder, Moment::After(second))
        });
        assert!(died.await.expect("processes"), "both died");
        let scene = kept(temporary.path());
        scene.build(DOCKERFILE).await.result.unwrap_or_else(|error| panic!("after {second}: {error}"));
        scene.assert_clean();
    }
}

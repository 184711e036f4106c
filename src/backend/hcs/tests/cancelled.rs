//! Builds that nobody wants any more.

use std::time::Duration;

use polyarch_actors::BuildError;
use tokio_util::sync::CancellationToken;

use super::scene::Scene;

const DOCKERFILE: &str = "FROM base\nRUN write C:\\made.txt one & echo done\n";

/// The calls of a build in which it can be cancelled, in their order.
const CALLS: [&str; 20] = [
    "HcsEnumerateComputeSystems",
    "BackupWrite",
    "SetFileInformationByHandle",
    "ProcessBaseImage",
    "ProcessUtilityImage",
    "ImportLayer",
    "CreateSandboxLayer",
    "ActivateLayer",
    "PrepareLayer",
    "GetLayerMountPath",
    "HcnCreateNamespace",
    "HcnCreateEndpoint",
    "HcnModifyNamespace",
    "HcsCreateComputeSystem",
    "HcsStartComputeSystem",
    "HcsCreateProcess",
    "HcsWaitForProcess",
    "HcsGetProcessInfo",
    "ExportLayer",
    "BackupRead",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_cancelled_in_any_call_leaves_nothing() {
    for call in CALLS {
        let scene = Scene::new();
        let backend = scene.backend();
        let cancel = CancellationToken::new();
        scene.windows.hold(call);
        let (windows, token) = (scene.windows.clone(), cancel.clone());
        let canceller = tokio::task::spawn_blocking(move || {
            windows.wait_for(call);
            token.cancel();
            std::thread::sleep(Duration::from_millis(20));
            windows.release();
        });
        let built = scene.build_in(&backend, scene.request(DOCKERFILE), cancel).await;
        canceller.await.expect("cancelled");
        assert_eq!(built.result.expect_err(call), BuildError::Cancelled, "in {call}");
        scene.assert_clean();
        // What it has done so far is no hindrance.
        scene.build(DOCKERFILE).await.result.unwrap_or_else(|error| panic!("after {call}: {error}"));
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_never_ends_is_ended() {
    let scene = Scene::new();
    let backend = scene.backend();
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let windows = scene.windows.clone();
    let canceller = tokio::task::spawn_blocking(move || {
        windows.wait_until("HcsWaitForProcess");
        token.cancel();
    });
    let built = scene.build_in(&backend, scene.request("FROM base\nRUN echo begun & hang\n"), cancel).await;
    canceller.await.expect("cancelled");
    assert_eq!(built.result.expect_err("cancelled"), BuildError::Cancelled);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_dropped_leaves_nothing_soon_afterwards() {
    let scene = Scene::new();
    let backend = scene.backend();
    let request = scene.request("FROM base\nRUN hang\n");
    let build = scene.build_in(&backend, request, CancellationToken::new());
    let windows = scene.windows.clone();
    let waits = tokio::task::spawn_blocking(move || {
        windows.wait_until("HcsWaitForProcess");
    });
    tokio::select! {
        built = build => panic!("it never ends: {:?}", built.result),
        waited = waits => waited.expect("it runs"),
    }
    for _ in 0..500 {
        if scene.windows.left().is_empty() && scene.windows.calls().iter().any(|call| call == "DestroyLayer")
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(scene.windows.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_takes_too_long_has_timed_out() {
    use crate::{
        backend::hcs::{HcsOptions, HcsSession},
        session::{Ended, Session as _, Step, StepLayer},
    };
    let scene = Scene::new();
    scene.build(DOCKERFILE).await.result.expect("an image");
    let session = HcsSession::new(scene.windows.api(), scene.store.clone(), HcsOptions::default());
    let step = Step {
        layers: scene
            .base_layers()
            .into_iter()
            .map(|diff_id| StepLayer { digest: diff_id.clone(), diff_id })
            .collect(),
        command: vec!["hang".into()],
        workdir: "/".into(),
        os_version: Some(super::scene::HOST.into()),
        timeout: Some(Duration::from_millis(50)),
        ..Step::default()
    };
    let outcome = session.run(step, &mut |_, _| {}, &CancellationToken::new()).await.expect("an outcome");
    assert_eq!(outcome.ended, Ended::TimedOut);
    scene.assert_clean();
}

//! Whole builds that nobody wants any more, by the library.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use polyarch::{BuildSpec, Error, NamedInput, Orchestrator, Output};

use super::{
    scene::{Scene, alone},
    whole::{DOCKERFILE, build, calls, prepare},
};

/// Builds it in this process, and cancels it in a call.
async fn cancelled(scene: &Scene, call: &str) {
    let number = calls(scene, call) + 1;
    scene.fail(call, &format!("{number} held"));
    let held = scene.state.join("held").join(call);
    let orchestrator =
        Orchestrator::builder().store(scene.folder.join("store")).start().await.expect("a start");
    let spec = BuildSpec::new(scene.folder.join("context"))
        .platforms(["windows/amd64".parse().expect("a platform")])
        .output(Output::oci_archive(scene.folder.join("out.tar")));
    let base = NamedInput::Layout { folder: scene.folder.join("base"), tag: None, digest: None };
    let spec = BuildSpec { build_contexts: BTreeMap::from([("base".to_owned(), base)]), ..spec };
    let build = orchestrator.build(spec);
    let token = build.cancel_token();
    let canceller = thread::spawn(move || {
        let begun = Instant::now();
        while !held.exists() {
            assert!(begun.elapsed() < Duration::from_mins(1), "nobody has called {}", held.display());
            thread::sleep(Duration::from_millis(10));
        }
        token.cancel();
        // Those who hear of it may be waiting for the call already when it goes on.
        thread::sleep(Duration::from_millis(50));
        fs::remove_file(&held).expect("it waits");
    });
    let ended = build.await;
    canceller.join().expect("cancelled");
    assert!(matches!(ended, Err(Error::Cancelled)), "{call}: {ended:?}");
    orchestrator.shutdown(Duration::from_secs(20)).await;
    assert_eq!(scene.left(), Vec::<String>::new(), "{call}");
}

#[test]
fn a_build_that_is_cancelled_in_any_state_leaves_nothing() {
    alone(concat!(module_path!(), "::a_build_that_is_cancelled_in_any_state_leaves_nothing"), |scene| {
        prepare(scene, DOCKERFILE);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        for call in [
            "ProcessBaseImage",
            "BackupWrite",
            "ImportLayer",
            "CreateSandboxLayer",
            "ActivateLayer",
            "PrepareLayer",
            "HcnCreateNamespace",
            "HcnCreateEndpoint",
            "HcnModifyNamespace",
            "HcsCreateComputeSystem",
            "HcsStartComputeSystem",
            "HcsCreateProcess",
            "HcsGetProcessProperties",
            "ExportLayer",
            "BackupRead",
        ] {
            runtime.block_on(cancelled(scene, call));
        }
        build(scene).ok();
        assert_eq!(scene.left(), Vec::<String>::new());
    });
}

#[test]
fn a_command_that_never_ends_is_ended() {
    alone(concat!(module_path!(), "::a_command_that_never_ends_is_ended"), |scene| {
        // It waits for what nobody writes.
        prepare(scene, "FROM base\nRUN echo begun & ping -n 600 127.0.0.1\n");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(cancelled(scene, "HcsCreateProcess"));
    });
}

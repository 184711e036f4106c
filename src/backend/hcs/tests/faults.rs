//! What Windows refuses in the middle of a build.

use polyarch_actors::{BuildError, Fault};

use super::scene::Scene;

const DOCKERFILE: &str = "FROM base\nRUN write C:\\made.txt one\n";

/// The calls of a build that can fail.
const CALLS: [&str; 17] = [
    "BackupWrite",
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
    "ExportLayer",
    "BackupRead",
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_windows_refuses_is_told_and_leaves_nothing() {
    for call in CALLS {
        let scene = Scene::new();
        scene.windows.fails(call, 0x8037_0101, 0, 1);
        let error = scene.build(DOCKERFILE).await.result.expect_err(call);
        let text = error.to_string();
        assert!(text.contains(&format!("{call} failed with 0x80370101")), "{call}: {text}");
        assert!(text.contains("the version of the base does not fit"), "{text}");
        assert_eq!((error.fault(), error.retryable()), (Fault::Host, false), "{call}");
        scene.assert_clean();
        scene.build(DOCKERFILE).await.result.unwrap_or_else(|error| panic!("after {call}: {error}"));
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_lost_service_are_told_as_what_they_are() {
    for call in CALLS {
        let scene = Scene::new();
        scene.windows.fails(call, 0x8007_0070, 0, 1);
        let error = scene.build(DOCKERFILE).await.result.expect_err(call);
        assert!(matches!(error, BuildError::NoSpace { .. }), "{call}: {error}");
        scene.windows.fails(call, 0x8007_06BA, 0, 1);
        let error = scene.build(DOCKERFILE).await.result.expect_err(call);
        assert!(error.retryable(), "{call}: {error}");
        scene.assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_not_ready_is_attached_again_and_not_for_ever() {
    for code in [0x8007_0015, 0x8007_048F] {
        for call in ["ActivateLayer", "PrepareLayer"] {
            let scene = Scene::new();
            scene.windows.fails(call, code, 0, 4);
            scene.build(DOCKERFILE).await.result.unwrap_or_else(|error| panic!("{call}: {error}"));
            assert_eq!(scene.windows.calls().iter().filter(|made| *made == call).count(), 5);
            scene.assert_clean();
            let scene = Scene::new();
            scene.windows.fails(call, code, 0, 5);
            let error = scene.build(DOCKERFILE).await.result.expect_err("it is never ready");
            assert!(error.retryable(), "{error}");
            scene.assert_clean();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_another_program_holds_is_removed_a_little_later() {
    let scene = Scene::new();
    scene.windows.fails("DestroyLayer", 0x8007_0020, 0, 3);
    scene.build(DOCKERFILE).await.result.expect("an image");
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_removed_is_removed_by_the_next_process() {
    let scene = Scene::new();
    scene.windows.fails("DestroyLayer", 0x8007_0005, 0, 2);
    let error = scene.build(DOCKERFILE).await.result.expect_err("it cannot be removed");
    assert!(error.to_string().contains("Windows denies the access"), "{error}");
    assert_eq!(scene.windows.left().len(), 1, "the disk is still there");
    scene.build(DOCKERFILE).await.result.expect("an image");
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_nobody_can_end_gives_no_layer() {
    let scene = Scene::new();
    scene.windows.fails("HcsShutDownComputeSystem", 0x8007_05B4, 0, 1);
    scene.windows.fails("HcsTerminateComputeSystem", 0x8007_05B4, 0, 1);
    let error = scene.build(DOCKERFILE).await.result.expect_err("it goes on");
    assert!(error.to_string().contains("did not answer in time"), "{error}");
    assert!(!scene.windows.calls().iter().any(|call| call == "ExportLayer"));
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_does_not_end_by_itself_is_ended() {
    let scene = Scene::new();
    scene.windows.fails("HcsShutDownComputeSystem", 0x8007_05B4, 0, 1);
    scene.build(DOCKERFILE).await.result.expect("an image");
    scene.assert_clean();
}

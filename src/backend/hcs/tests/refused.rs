//! Builds that this machine cannot do, and how soon it says so.

use polyarch_actors::{BuildBackend as _, Fault, StepIsolation};
use tokio_util::sync::CancellationToken;

use super::scene::{HOST, Scene};
use crate::backend::hcs::fake::FakeWindows;

#[tokio::test(flavor = "multi_thread")]
async fn a_base_of_another_windows_is_refused_before_any_layer_is_touched() {
    for (version, isolation, reason) in [
        ("10.0.26100.1", StepIsolation::Default, "newer than this machine with Windows 10.0.20348.2402"),
        ("10.0.17763.1", StepIsolation::Process, "use --isolation=hyperv"),
        ("", StepIsolation::Default, "does not say for which Windows"),
    ] {
        let temporary = tempfile::tempdir().expect("a folder");
        let scene = Scene::at(temporary.path(), FakeWindows::new(HOST), version);
        let mut request = scene.request("FROM base\nRUN echo x\n");
        request.steps.isolation = isolation;
        let built = scene.build_in(&scene.backend(), request, CancellationToken::new()).await;
        let error = built.result.expect_err(version);
        assert!(error.to_string().starts_with("Dockerfile:2: "), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.fault(), Fault::User);
        let calls = scene.windows.calls();
        assert!(!calls.iter().any(|call| call.starts_with("Backup")), "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_base_is_run_in_a_virtual_machine() {
    let temporary = tempfile::tempdir().expect("a folder");
    let scene = Scene::at(temporary.path(), FakeWindows::new(HOST), "10.0.17763.1");
    let built = scene.build("FROM base\nRUN write C:\\made.txt one\n").await;
    built.result.expect("an image");
    assert!(!scene.windows.calls().iter().any(|call| call == "PrepareLayer"));
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_windows_does_not_have_are_refused_with_the_line_and_the_way_out() {
    let scene = Scene::new();
    for (dockerfile, line, reason) in [
        ("FROM base\nRUN --mount=type=cache,target=C:\\x echo x\n", 2, "write COPY"),
        ("FROM base\nRUN <<EOF\necho x\nEOF\n", 2, "COPY <<EOF"),
        ("FROM base\nRUN --security=insecure echo x\n", 2, "USER ContainerAdministrator"),
        ("FROM scratch\nRUN echo x\n", 2, "use a base of Windows"),
    ] {
        let mut request = scene.request(dockerfile);
        request.steps.allow_insecure = true;
        let built = scene.build_in(&scene.backend(), request, CancellationToken::new()).await;
        let error = built.result.expect_err(dockerfile);
        assert!(error.to_string().starts_with(&format!("Dockerfile:{line}: ")), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_windows_without_containers_puts_images_together_and_says_what_to_enable() {
    let scene = Scene::new();
    scene.windows.fails("available", 0x8007_007E, 0, usize::MAX);
    let backend = scene.backend();
    let can = backend.probe().await;
    assert!(can.native.is_empty() && !can.assembles.is_empty());
    assert!(can.advice[0].contains("Enable-WindowsOptionalFeature"), "{:?}", can.advice);
    let request = scene.request("FROM base\nCOPY file.txt /app/\n");
    scene.build_in(&backend, request, CancellationToken::new()).await.result.expect("an image");
    let request = scene.request("FROM base\nRUN echo x\n");
    let error = scene.build_in(&backend, request, CancellationToken::new()).await.result.expect_err("no RUN");
    assert!(error.to_string().contains("needs a machine with that system"), "{error}");
}

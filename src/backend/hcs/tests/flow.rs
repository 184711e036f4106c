//! Whole builds.

use polyarch_actors::{BuildBackend as _, BuildError, StepIsolation, StepNeed};
use tokio_util::sync::CancellationToken;

use super::scene::Scene;

/// Two steps, one of which sees what the other has made.
const TWO_STEPS: &str = "FROM base\nRUN write C:\\made.txt one\nRUN type C:\\made.txt & del C:\\old.txt\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_run_is_a_layer_and_sees_those_before_it() {
    let scene = Scene::new();
    let built = scene.build(TWO_STEPS).await;
    let image = built.result.expect("an image");
    assert_eq!(built.printed, "one\r\n");
    let made = scene.made(&image);
    assert_eq!(made.len(), 2);
    assert_eq!(made[0].get("Files/made.txt").map(String::as_str), Some("one"));
    assert!(made[1].contains_key("Files/.wh.old.txt"), "{:?}", made[1]);
    let config = scene.config(&image);
    assert_eq!(config["os.version"], super::scene::HOST);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().expect("digests").len(), 4);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_run_before_is_not_run_again() {
    let scene = Scene::new();
    let first = scene.build(TWO_STEPS).await.result.expect("an image");
    let calls = scene.windows.calls().len();
    let again = scene.build(TWO_STEPS).await;
    let image = again.result.expect("an image");
    assert_eq!((again.cached, &image.manifest), (2, &first.manifest));
    let since = scene.windows.calls().split_off(calls);
    assert!(!since.iter().any(|call| call == "HcsCreateProcess" || call == "ImportLayer"), "{since:?}");
    // A third step needs the layers of the others on the disk; those of the base are there.
    let more = format!("{TWO_STEPS}RUN type C:\\made.txt & type C:\\License.txt & echo done\n");
    let more = scene.build(&more).await;
    assert_eq!(more.printed, "one\r\nof the update\r\ndone\r\n", "{:?}", more.result);
    assert_eq!(scene.windows.imported(), 4);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_step_deletes_is_gone_for_the_next_one() {
    let scene = Scene::new();
    let dockerfile = format!("{TWO_STEPS}RUN type C:\\old.txt\n");
    let built = scene.build(&dockerfile).await;
    let error = built.result.expect_err("it is gone");
    assert!(matches!(error, BuildError::StepFailed { exit_code: 1, .. }), "{error}");
    assert!(built.printed.contains("cannot find the file"), "{}", built.printed);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_from_stages_and_contexts_into_steps() {
    let scene = Scene::new();
    let built = scene
        .build(
            "FROM --platform=linux/amd64 scratch AS linux\nCOPY file.txt /out/of-linux.txt\n\
             FROM base AS windows\nRUN mkdir C:\\out & write C:\\out\\made.txt text\n\
             FROM base\nWORKDIR C:\\app\nCOPY --from=linux /out/of-linux.txt .\n\
             COPY --from=windows C:/out/made.txt made.txt\nRUN cd & type C:\\app\\of-linux.txt & type C:\\app\\MADE.TXT\n",
        )
        .await;
    assert_eq!(built.printed, "C:\\app\r\nfrom the context\r\ntext\r\n", "{:?}", built.result);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_has_the_environment_and_the_user_of_its_image() {
    let scene = Scene::new();
    let built = scene
        .build("FROM base\nENV NAME=\"a b\"\nUSER ContainerAdministrator\nRUN set NAME & set BASE & whoami & reg System_Delta x\n")
        .await;
    let image = built.result.expect("an image");
    assert_eq!(built.printed, "a b\r\nyes\r\nContainerAdministrator\r\n");
    let made = scene.made(&image);
    assert_eq!(made[0].get("Hives/System_Delta").map(String::as_str), Some("x"));
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_has_each_variable_once_with_its_last_value() {
    let scene = Scene::new();
    let mut request = scene.request(
        "FROM base\nENV APP=one base=own\nARG app=two\nENV App=three-${aPP}\n\
         RUN set App & set base & set HTTP_PROXY & set http_proxy\n",
    );
    request.build_args.insert("HTTP_PROXY".into(), "given".into());
    let built = scene.build_in(&scene.backend(), request, CancellationToken::new()).await;
    assert_eq!(built.printed, "three-two\r\nown\r\ngiven\r\n\r\n", "{:?}", built.result);
    let config = scene.config(&built.result.expect("an image"));
    assert_eq!(config["config"]["Env"], serde_json::json!(["base=own", "App=three-two"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_says_how_it_ended_and_what_it_printed() {
    let scene = Scene::new();
    let built = scene.build("FROM base\nRUN echo begun & warn it is wrong & exit 7\n").await;
    match built.result.expect_err("it failed") {
        BuildError::StepFailed { exit_code, output, instruction } => {
            assert_eq!((exit_code, output.len()), (7, 2));
            assert!(instruction.starts_with("RUN echo begun"));
        }
        error => panic!("{error}"),
    }
    assert!(built.printed.contains("it is wrong"));
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_output_than_a_pipe_holds_stops_no_step() {
    let scene = Scene::new();
    let built = scene.build("FROM base\nRUN flood 300000\n").await;
    built.result.expect("an image");
    assert_eq!(built.printed.matches('x').count(), 600_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_in_a_virtual_machine_gives_the_same_layer() {
    let scene = Scene::new();
    let backend = scene.backend();
    let mut request = scene.request("FROM base\nRUN write C:\\made.txt one\n");
    request.steps.isolation = StepIsolation::HyperV;
    scene.windows.hold("HcsStartComputeSystem");
    let release = async {
        let windows = scene.windows.clone();
        let held = tokio::task::spawn_blocking(move || {
            windows.wait_for("HcsStartComputeSystem");
            let documents = windows.documents();
            windows.release();
            documents
        });
        held.await.expect("documents")
    };
    let (built, documents) =
        tokio::join!(scene.build_in(&backend, request, CancellationToken::new()), release);
    let image = built.result.expect("an image");
    assert!(documents[0].contains("\"HvPartition\":true"), "{documents:?}");
    assert_eq!(scene.made(&image)[0].get("Files/made.txt").map(String::as_str), Some("one"));
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_builds_at_once_import_a_base_once() {
    let scene = Scene::new();
    let backends = [scene.backend(), scene.backend()];
    let build = |backend, text: &str| {
        let request = scene.request(&format!("FROM base\nRUN write C:\\{text}.txt {text}\n"));
        scene.build_in(backend, request, CancellationToken::new())
    };
    let (one, other) = tokio::join!(build(&backends[0], "one"), build(&backends[1], "other"));
    one.result.expect("an image");
    other.result.expect("an image");
    let calls = scene.windows.calls();
    assert_eq!(calls.iter().filter(|call| *call == "ProcessBaseImage").count(), 1);
    assert_eq!(calls.iter().filter(|call| *call == "ImportLayer").count(), 1);
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_are_prepared_one_after_the_other() {
    let scene = Scene::new();
    scene.build("FROM base\nRUN echo x\n").await.result.expect("an image");
    let backends = [scene.backend(), scene.backend()];
    let build = |backend, text: &str| {
        let request = scene.request(&format!("FROM base\nRUN echo {text}\n"));
        scene.build_in(backend, request, CancellationToken::new())
    };
    scene.windows.hold("PrepareLayer");
    let windows = scene.windows.clone();
    let release = tokio::task::spawn_blocking(move || {
        windows.wait_for("PrepareLayer");
        // Long enough for the other one to come as far.
        std::thread::sleep(std::time::Duration::from_millis(200));
        windows.release();
    });
    let (one, other, released) =
        tokio::join!(build(&backends[0], "one"), build(&backends[1], "other"), release);
    released.expect("released");
    one.result.expect("an image");
    other.result.expect("an image");
    scene.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_says_what_it_can_give() {
    let scene = Scene::new();
    let can = scene.backend().probe().await;
    let native: Vec<String> = can.native.iter().map(ToString::to_string).collect();
    assert_eq!(native.len(), 1);
    assert!(native[0].starts_with("windows/"), "{native:?}");
    for need in [StepNeed::HyperVIsolation, StepNeed::MemoryLimit, StepNeed::CpuLimit] {
        assert!(can.gives.contains(&need), "{need}");
    }
    assert!(format!("{:?}", can.availability).contains(super::scene::HOST));
}

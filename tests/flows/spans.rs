//! The spans of builds, seen by a subscriber.

use std::{fs, path::Path, sync::Arc, time::Duration};

use polyarch::{
    BuildSpec, Orchestrator, Output,
    actors::{BackendId, BuildError, BuildId, EventKind, StepWork, testing},
};

use crate::support::{
    spans::{Seen, watch},
    teller::{End, Story, Teller, finished, platform, started},
};

fn folder(dockerfile: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("app")).expect("a context");
    fs::write(folder.path().join("app/Dockerfile"), dockerfile).expect("a Dockerfile");
    fs::write(folder.path().join("app/a.txt"), "hello\n").expect("a file");
    folder
}

fn spec(folder: &Path) -> BuildSpec {
    BuildSpec::new(folder.join("app"))
        .platforms([platform()])
        .tag("example.org/app:1".parse().expect("a name"))
}

/// Runs a build whose attempts go so.
async fn told(stories: Vec<Story>) -> BuildId {
    watch();
    let folder = folder("FROM busybox\nRUN make\n");
    let teller = Arc::new(Teller::new(stories));
    let builder = Orchestrator::builder().store(folder.path().join("store")).backend(teller);
    let orchestrator = builder.start().await.expect("it starts");
    let build = orchestrator.build(spec(folder.path()));
    let id = build.id().clone();
    // How it ends is told by its spans too.
    let _ = build.await;
    orchestrator.shutdown(Duration::from_secs(5)).await;
    id
}

fn failed(exit_code: i32) -> BuildError {
    BuildError::StepFailed { instruction: "RUN CANARY".into(), exit_code, output: vec!["CANARY".into()] }
}

fn all_closed(spans: &[Seen]) {
    for seen in spans {
        assert!(seen.is_closed, "{seen:?}");
        assert!(!format!("{seen:?}").contains("CANARY"), "{seen:?}");
    }
}

const TOLD: [&str; 17] = [
    "tenant",
    "name",
    "platform",
    "backend",
    "emulated",
    "number",
    "index",
    "stage",
    "stage_name",
    "instruction",
    "cached",
    "shared",
    "bytes",
    "exit_code",
    "fault",
    "error.type",
    "otel.status_code",
];

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_has_its_own_steps_below_the_route_that_it_took() {
    let lost = BuildError::Host { reason: "CANARY".into(), retryable: true };
    let first = vec![
        EventKind::PullStarted { image: "CANARY".into() },
        EventKind::Pulled { image: "CANARY".into(), bytes: Some(7) },
        started(1, "FROM CANARY AS base"),
        finished(1, true, None),
        started(2, "RUN make CANARY"),
    ];
    let second = vec![
        started(1, "FROM CANARY AS base"),
        finished(1, true, Some(StepWork { shared: true, ..StepWork::default() })),
        started(2, "RUN make CANARY"),
        finished(2, false, None),
    ];
    let id = told(vec![(first, End::Fails(lost)), (second, End::Builds)]).await;
    let tree = watch().tree(&id, &TOLD);
    let (build, rest) = tree.split_once('\n').expect("lines");
    assert!(build.starts_with("build tenant=default name=example.org/app:1 index=sha256:"), "{build}");
    let wanted = "  prepare
  request platform=linux/amd64
    route backend=teller emulated=false
      attempt backend=teller number=1 fault=host error.type=host otel.status_code=ERROR
        pull bytes=7
        step index=1 stage=0 stage_name=base instruction=FROM cached=true
        step index=2 stage=0 stage_name=base instruction=RUN
      attempt backend=teller number=2
        step index=1 stage=0 stage_name=base instruction=FROM cached=true shared=true
        step index=2 stage=0 stage_name=base instruction=RUN cached=false
";
    assert_eq!(rest, wanted);
    all_closed(&watch().of(&id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_from_its_step_up_to_the_build() {
    // One backend says which step failed, the other leaves it to the error.
    for says in [true, false] {
        let mut story = vec![started(1, "COPY a b"), started(2, "RUN CANARY")];
        if says {
            story.push(EventKind::StepFailed { step: 2, work: None });
        }
        let id = told(vec![(story, End::Fails(failed(42)))]).await;
        let tree =
            watch().tree(&id, &["instruction", "exit_code", "fault", "error.type", "otel.status_code"]);
        let end = "fault=user error.type=step-failed otel.status_code=ERROR";
        let wanted = format!(
            "build {end}\n  prepare\n  request {end}\n    route\n      attempt {end}\n        step instruction=COPY\n        \
             step instruction=RUN exit_code=42 otel.status_code=ERROR\n"
        );
        assert_eq!(tree, wanted);
        all_closed(&watch().of(&id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_cannot_begin_or_is_cancelled_leaves_no_span_open() {
    watch();
    let folder = folder("FROM busybox\nRUN make\n");
    let hang = testing::ScriptedBackend::new("one", 1).on(&platform(), [testing::Act::Hang(Duration::ZERO)]);
    let builder = Orchestrator::builder().store(folder.path().join("store")).backend(Arc::new(hang.clone()));
    let orchestrator = builder.start().await.expect("it starts");
    let wrong = orchestrator.build(BuildSpec::new(folder.path().join("nothing")));
    let id = wrong.id().clone();
    wrong.await.expect_err("there is no context");
    assert_eq!(
        watch().tree(&id, &["fault", "error.type", "otel.status_code"]),
        "build fault=user error.type=invalid otel.status_code=ERROR\n  prepare\n"
    );
    all_closed(&watch().of(&id));
    let build = orchestrator.build(spec(folder.path()));
    while hang.running() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let id = build.id().clone();
    build.cancel();
    build.await.expect_err("cancelled");
    let stopped = "fault=cancelled error.type=cancelled";
    assert_eq!(
        watch().tree(&id, &["fault", "error.type", "otel.status_code"]),
        format!("build {stopped}\n  prepare\n  request {stopped}\n    route\n      attempt {stopped}\n")
    );
    all_closed(&watch().of(&id));
    orchestrator.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_build_has_all_of_its_steps_and_outputs_and_no_value_of_an_argument() {
    watch();
    let folder = folder("ARG BASE\nFROM $BASE AS files\nARG NAME\nCOPY a.txt /$NAME\nLABEL secret=$NAME\n");
    let builder = Orchestrator::builder().store(folder.path().join("store")).only(BackendId::new("sandbox"));
    let orchestrator = builder.start().await.expect("it starts");
    let mut spec = spec(folder.path()).output(Output::oci_archive(folder.path().join("CANARY.tar")));
    spec.build_args = [("NAME".into(), "CANARY".into()), ("BASE".into(), "scratch".into())].into();
    let build = orchestrator.build(spec);
    let id = build.id().clone();
    build.await.expect("built");
    let tree = watch().tree(&id, &["platform", "backend", "number", "instruction", "cached", "kind"]);
    let wanted = "build
  prepare
  request platform=linux/amd64
    route backend=sandbox
      attempt backend=sandbox number=1
        step instruction=FROM cached=false
        step instruction=ARG cached=false
        step instruction=COPY cached=false
        step instruction=LABEL cached=false
  export kind=oci-archive
";
    assert_eq!(tree, wanted);
    all_closed(&watch().of(&id));
    orchestrator.shutdown(Duration::from_secs(5)).await;
}

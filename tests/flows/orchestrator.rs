//! The facade as a service embeds it, with scripted backends: no process, no network.

use std::{fs, path::Path, sync::Arc, thread, time::Duration};

use futures::StreamExt;
use polyarch::{
    BuildHandle, BuildSpec, Error, Orchestrator, TimeLimits,
    actors::{
        BuildError, EventKind, Platform, PlatformState, TimedPart,
        testing::{Act, ScriptedBackend},
    },
    oci::index::Index,
};

fn platform(text: &str) -> Platform {
    text.parse().expect("a platform")
}

/// A folder with a store-to-be and a context whose steps run something.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("Dockerfile"), "FROM busybox\nRUN make\n").expect("a Dockerfile");
    folder
}

async fn orchestrator(folder: &Path, backend: &ScriptedBackend) -> Orchestrator {
    let builder = Orchestrator::builder().store(folder.join("store")).backend(Arc::new(backend.clone()));
    builder.start().await.expect("it starts")
}

fn spec(folder: &Path) -> BuildSpec {
    BuildSpec::new(folder).platforms([platform("linux/arm64"), platform("linux/amd64")])
}

async fn until_running(orchestrator: &Orchestrator) {
    for _ in 0..5000 {
        let running = |state: &PlatformState| matches!(state, PlatformState::Running { .. });
        if orchestrator
            .status()
            .iter()
            .any(|(_, status)| status.platforms.iter().any(|(_, state)| running(state)))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing ever ran: {:?}", orchestrator.status());
}

#[test]
fn the_handle_may_go_anywhere() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    fn to_another_thread<T: Send + 'static>() {}
    anywhere::<Orchestrator>();
    to_another_thread::<BuildHandle>();
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_from_several_runtimes_end_in_an_index_in_the_requested_order() {
    let folder = folder();
    let slow = [Act::Build(Duration::from_millis(20)), Act::Build(Duration::from_millis(20))];
    let backend = ScriptedBackend::new("one", 2).on(&platform("linux/arm64"), slow);
    let orchestrator = orchestrator(folder.path(), &backend).await;
    let elsewhere = {
        let (orchestrator, spec) = (orchestrator.clone(), spec(folder.path()));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(orchestrator.build(spec)).expect("built")
        })
    };
    let here = orchestrator.build(spec(folder.path())).await.expect("built");
    let there = elsewhere.join().expect("no panic");
    assert_eq!(here.index, there.index);
    assert_ne!(here.build, there.build);
    let index = Index::read(orchestrator.store(), &here.index.digest).expect("an index");
    let platforms: Vec<String> = index
        .manifests
        .iter()
        .map(|entry| entry.platform.as_ref().expect("a platform").to_string())
        .collect();
    assert_eq!(platforms, ["linux/arm64", "linux/amd64"]);
    orchestrator.shutdown(Duration::ZERO).await;
    assert_eq!(backend.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn events_tell_the_whole_story_once_and_in_order() {
    let folder = folder();
    let orchestrator = orchestrator(folder.path(), &ScriptedBackend::new("one", 1)).await;
    let mut spec = spec(folder.path());
    spec.build_args.insert("UNHEARD".into(), "1".into());
    let build = orchestrator.build(spec);
    let events: Vec<_> = build.events().collect().await;
    let receipt = build.await.expect("built");
    assert!(events.iter().zip(0..).all(|(event, sequence)| event.sequence == sequence));
    assert!(events.iter().all(|event| event.build == receipt.build));
    let count = |wanted: fn(&EventKind) -> bool| events.iter().filter(|event| wanted(&event.kind)).count();
    assert_eq!(count(|kind| matches!(kind, EventKind::Warned { message } if message.contains("UNHEARD"))), 1);
    assert_eq!(count(|kind| matches!(kind, EventKind::Routed { .. })), 2);
    assert_eq!(count(|kind| matches!(kind, EventKind::ImageBuilt { .. })), 2);
    assert_eq!(count(|kind| matches!(kind, EventKind::IndexAssembled { .. })), 1);
    assert!(matches!(events.last().expect("events").kind, EventKind::Finished { error: None }));
    orchestrator.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_cancelled_build_ends_when_nothing_of_it_runs() {
    let folder = folder();
    let backend =
        ScriptedBackend::new("one", 2).on(&platform("linux/amd64"), [Act::Hang(Duration::from_millis(30))]);
    let orchestrator = orchestrator(folder.path(), &backend).await;
    let build = orchestrator.build(spec(folder.path()).tag("app:1".parse().expect("a name")));
    until_running(&orchestrator).await;
    build.cancel();
    let error = build.await.expect_err("cancelled");
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(backend.running(), 0);
    assert!(orchestrator.store().names().expect("names").is_empty());
    orchestrator.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_build_that_takes_too_long_says_which_part_did_when_nothing_of_it_runs() {
    let millis = Duration::from_millis;
    let folder = folder();
    let backend = ScriptedBackend::new("one", 1)
        .on(&platform("linux/arm64"), [Act::Build(Duration::from_hours(1)), Act::Build(millis(1))]);
    let orchestrator = orchestrator(folder.path(), &backend).await;
    let total = TimeLimits { total: Some(millis(300)), ..TimeLimits::default() };
    let build = orchestrator.build_within(spec(folder.path()), total);
    let (owner, events) = (build.cancel_token(), build.events());
    let error = build.await.expect_err("too late");
    let late = BuildError::TimedOut { part: TimedPart::Total, limit_ms: 300 };
    assert!(matches!(&error, Error::TimedOut(told) if *told == late), "{error:?}");
    assert_eq!(error.to_string(), "the build took longer than 300 ms");
    assert_eq!((backend.running(), orchestrator.status().len(), owner.is_cancelled()), (0, 0, false));
    let last = events.collect::<Vec<_>>().await.pop().expect("an end");
    assert_eq!(last.kind, EventKind::Finished { error: Some(late) });
    // Who ends in time hears nothing of it.
    orchestrator.build_within(spec(folder.path()), total).await.expect("built");
}

#[tokio::test]
async fn a_failed_platform_moves_no_name() {
    let folder = folder();
    let failed = BuildError::StepFailed { instruction: "RUN make".into(), exit_code: 2, output: vec![] };
    let backend = ScriptedBackend::new("one", 2).on(&platform("linux/amd64"), [Act::Fail(failed.clone())]);
    let orchestrator = orchestrator(folder.path(), &backend).await;
    let build = orchestrator.build(spec(folder.path()).tag("app:1".parse().expect("a name")));
    let Err(Error::Build(failure)) = build.await else { panic!("it was built") };
    assert_eq!((failure.error, failure.platform), (failed, platform("linux/amd64")));
    let snippet = failure.snippet.expect("a place in the Dockerfile");
    assert!(snippet.contains("2 │ RUN make") && snippet.contains('^'), "{snippet}");
    assert_eq!(failure.outcome.platforms.len(), 2);
    assert!(orchestrator.store().names().expect("names").is_empty());
    orchestrator.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn shutdown_refuses_new_builds_and_cancels_what_outlives_the_grace() {
    let folder = folder();
    let backend = ScriptedBackend::new("one", 2).on(&platform("linux/amd64"), [Act::Hang(Duration::ZERO)]);
    let orchestrator = orchestrator(folder.path(), &backend).await;
    let build = orchestrator.build(spec(folder.path()));
    until_running(&orchestrator).await;
    orchestrator.shutdown(Duration::from_millis(10)).await;
    orchestrator.shutdown(Duration::ZERO).await;
    assert!(backend.is_closed());
    assert!(build.await.is_err());
    assert!(orchestrator.build(spec(folder.path())).await.is_err());
    assert_eq!(backend.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn dropping_the_last_handle_lets_the_running_build_end_and_stops() {
    let folder = folder();
    let backend =
        ScriptedBackend::new("one", 2).on(&platform("linux/amd64"), [Act::Build(Duration::from_millis(50))]);
    let orchestrator = orchestrator(folder.path(), &backend).await;
    let build = orchestrator.build(spec(folder.path()));
    drop(orchestrator);
    assert_eq!(build.await.expect("built").images.len(), 2);
    for _ in 0..5000 {
        if backend.is_closed() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the actors are still there");
}

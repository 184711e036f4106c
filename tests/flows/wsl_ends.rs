//! Builds in a distribution that are cut off, on either side.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use polyarch_actors::{BuildBackend as _, BuildCx, BuildError, BuildRequest, EventSink, Platform};
use tokio_util::sync::CancellationToken;

use crate::support::{
    buildah::{Registry, build, folder, request, wait_for, with_bases},
    wsl::{Injected, StandIn, left, ready},
};

/// A build whose only step sleeps for a time that nothing else does.
fn sleeper(folder: &Path, base: &str, mark: &str) -> BuildRequest {
    let platform = Platform::host_linux().to_string();
    let ask = request(folder, &platform, &format!("FROM {base}\nRUN sleep {mark}\n"));
    with_bases(ask, base, &[&platform])
}

fn is_sleeping(folder: &Path, mark: &str) -> bool {
    let sleeps = format!(": sleep {mark} ");
    left(folder, Some(mark)).iter().any(|line| line.contains(&sleeps))
}

#[tokio::test]
async fn a_cancelled_build_leaves_nothing_in_there() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let mark = format!("71{}", std::process::id());
    let ask = sleeper(folder.path(), &base, &mark);
    let stand_in = StandIn::new(folder.path(), Injected::Nothing);
    for (_, backend) in [StandIn::local(folder.path()), stand_in.backend(None)] {
        for dropped in [false, true] {
            let (events, cancel) = (EventSink::new(ask.build.clone()), CancellationToken::new());
            let cx = BuildCx { events, cancel: cancel.clone(), emulated: false };
            let (backend, ask) = (backend.clone(), ask.clone());
            let task = tokio::spawn(async move { backend.build(ask, cx).await });
            wait_for("the step", || is_sleeping(folder.path(), &mark) || task.is_finished()).await;
            assert!(!task.is_finished(), "it ended before the step: {:?}", task.await);
            let begun = Instant::now();
            if dropped {
                task.abort();
                wait_for("the clean-up", || left(folder.path(), Some(&mark)).is_empty()).await;
            } else {
                cancel.cancel();
                assert_eq!(task.await.expect("no panic"), Err(BuildError::Cancelled));
                assert_eq!(left(folder.path(), Some(&mark)), Vec::<String>::new());
            }
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }
}

#[tokio::test]
async fn a_build_ends_with_the_process_that_asked_for_it() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let mark = format!("72{}", std::process::id());
    let mut process = Command::new(env::current_exe().expect("a path"))
        .args(["--exact", "flows::wsl_ends::another_process_builds_in_there", "--nocapture"])
        .env("POLYARCH_TEST_WSL", folder.path())
        .env("POLYARCH_TEST_BASE", &base)
        .env("POLYARCH_TEST_MARK", &mark)
        .stdout(Stdio::null())
        .spawn()
        .expect("a process");
    wait_for("the step", || is_sleeping(folder.path(), &mark)).await;
    process.kill().expect("killed");
    process.wait().expect("gone");
    wait_for("the clean-up", || left(folder.path(), Some(&mark)).is_empty()).await;
}

/// Not a test of its own: what the test above runs as another process.
#[tokio::test]
async fn another_process_builds_in_there() {
    let Some(folder) = env::var_os("POLYARCH_TEST_WSL").map(PathBuf::from) else { return };
    let of = |name: &str| env::var(format!("POLYARCH_TEST_{name}")).expect(name);
    let ask = sleeper(&folder, &of("BASE"), &of("MARK"));
    let (_, backend) = StandIn::new(&folder, Injected::Nothing).backend(None);
    build(&backend, ask).await.0.expect("it is killed before");
}

#[tokio::test]
async fn what_goes_on_without_wsl_exe_is_ended() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let mark = format!("73{}", std::process::id());
    let (_, backend) = StandIn::new(folder.path(), Injected::DiesWhileBuilding).backend(None);
    let error = build(&backend, sleeper(folder.path(), &base, &mark)).await.0.expect_err("lost");
    assert!(error.retryable(), "{error}");
    assert!(error.to_string().contains("The connection was lost."), "{error}");
    assert_eq!(left(folder.path(), Some(&mark)), Vec::<String>::new());
}

#[tokio::test]
async fn a_folder_that_is_held_on_is_ended_from_outside() {
    if !ready() {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let Some(base) = registry.busybox(&[Platform::host_linux().arch()]) else { return };
    let mark = format!("74{}", std::process::id());
    let (_, backend) = StandIn::new(folder.path(), Injected::IsDeafInTheEnd).backend(None);
    let ask = sleeper(folder.path(), &base, &mark);
    let (events, cancel) = (EventSink::new(ask.build.clone()), CancellationToken::new());
    let cx = BuildCx { events, cancel: cancel.clone(), emulated: false };
    let task = tokio::spawn(async move { backend.build(ask, cx).await });
    wait_for("the step", || is_sleeping(folder.path(), &mark)).await;
    cancel.cancel();
    assert_eq!(task.await.expect("no panic"), Err(BuildError::Cancelled));
    assert!(!is_sleeping(folder.path(), &mark));
    let files: Vec<String> =
        left(folder.path(), None).into_iter().filter(|line| line.starts_with("file")).collect();
    assert_eq!(files, Vec::<String>::new());
}

#[tokio::test]
async fn what_nobody_holds_any_more_is_swept() {
    if !ready() {
        return;
    }
    let folder = folder();
    let place = folder.path().join("home/.cache/polyarch-builds");
    // Number 1 is a process, but not the one that began with the machine's first tick.
    let old = place.join("polyarch-abc-1-99999999999");
    fs::create_dir_all(old.join("runs")).expect("made");
    fs::write(old.join("runs/1-99999999999"), "").expect("written");
    fs::write(place.join("else"), "").expect("written");
    let (_, backend) = StandIn::local(folder.path());
    backend.probe().await;
    assert!(!old.exists());
    assert!(place.join("else").exists());
}

//! What the steps of a build may take together, by real control groups.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use polyarch::session::{Ended, Limits, Session as _, SessionError, SharedLimits, Step};
use polyarch_actors::{BuildId, StepNeed};
use tokio_util::sync::CancellationToken;

use crate::support::{
    buildah::{helper, skip, wait_for},
    groups,
    session::Bench,
};

/// Keeps about 40 MB in memory for some seconds, and says how that ended.
const GREEDY: &str = "timeout 3 dd if=/dev/zero of=/dev/null bs=40000000 count=1000000 2> /dev/null; \
                      code=$?; [ $code = 143 ] || exit $code";

async fn bench_that_shares() -> Option<Bench> {
    let bench = Bench::new()?;
    if bench.session.probe().await.expect("usable").gives.contains(&StepNeed::SharedMemory) {
        return Some(bench);
    }
    skip("control groups cannot be used here");
    None
}

fn shared(limits: Limits) -> SharedLimits {
    SharedLimits { build: BuildId::generate(), limits, required: true }
}

/// How many steps are below the group of a build, in the hierarchy that has most.
fn steps(build: &BuildId) -> usize {
    let below = |group: PathBuf| {
        let entries = fs::read_dir(group).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    };
    groups::of_build(build).into_iter().map(below).max().unwrap_or(0)
}

/// Runs two greedy steps at once, and returns how they ended.
async fn both(bench: &Bench, one: Option<SharedLimits>, other: Option<SharedLimits>) -> [Ended; 2] {
    let step = |shared| Step { shared, ..bench.step(GREEDY) };
    let (one, other) = tokio::join!(bench.run(step(one)), bench.run(step(other)));
    [one, other].map(|(outcome, _)| outcome.expect("an outcome").ended)
}

#[tokio::test]
async fn two_steps_of_a_build_share_its_memory_and_those_of_two_builds_do_not() {
    let Some(bench) = bench_that_shares().await else { return };
    if fs::read_to_string("/proc/swaps").expect("read").lines().count() > 1 {
        skip("what is swapped out is not counted by every kernel");
        return;
    }
    let of = |memory| shared(Limits { memory: Some(memory), ..Limits::default() });
    // Each by itself has enough.
    let (tight, other) = (of(60 << 20), of(60 << 20));
    let ended = both(&bench, Some(tight.clone()), Some(other.clone())).await;
    assert_eq!(ended, [Ended::Code(0); 2]);
    let ended = both(&bench, Some(tight.clone()), Some(tight.clone())).await;
    assert!(ended.contains(&Ended::BuildOutOfMemory(137)), "{ended:?}");
    let wide = of(200 << 20);
    assert_eq!(both(&bench, Some(wide.clone()), Some(wide.clone())).await, [Ended::Code(0); 2]);
    assert_eq!(both(&bench, None, None).await, [Ended::Code(0); 2]);
    // Who has less than its build is told of its own limit.
    let limits = Limits { memory: Some(16 << 20), ..Limits::default() };
    let (outcome, _) = bench.run(Step { limits, shared: Some(wide.clone()), ..bench.step(GREEDY) }).await;
    assert_eq!(outcome.expect("an outcome").ended, Ended::OutOfMemory(137));
    for SharedLimits { build, .. } in [tight, other, wide] {
        assert_eq!(groups::of_build(&build), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn the_group_of_a_build_is_there_while_one_of_its_steps_runs_however_the_others_end() {
    let Some(bench) = bench_that_shares().await else { return };
    // One CPU and a half for the step is more than all may have.
    let shared = shared(Limits { memory: Some(64 << 20), pids: Some(100), millicpus: Some(1000) });
    let build = shared.build.clone();
    let limits = Limits { millicpus: Some(1500), ..Limits::default() };
    let begin = |cancel: &CancellationToken| {
        let step = Step { limits, shared: Some(shared.clone()), ..bench.step("sleep 60") };
        let (session, cancel) = (bench.session.clone(), cancel.clone());
        tokio::spawn(async move { session.run(step, &mut |_, _| {}, &cancel).await })
    };
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let (one, other) = (begin(&first), begin(&second));
    wait_for("both steps", || steps(&build) == 2).await;
    let read = |file: &str| {
        groups::of_build(&build).iter().find_map(|path| fs::read_to_string(path.join(file)).ok())
    };
    assert_eq!(read("pids.max").as_deref(), Some("100\n"));
    let memory = read("memory.max").or_else(|| read("memory.limit_in_bytes"));
    assert_eq!(memory.as_deref(), Some("67108864\n"));
    first.cancel();
    assert!(matches!(one.await.expect("no panic"), Err(SessionError::Cancelled)));
    assert_eq!(steps(&build), 1, "the other step still needs it");
    // A third one comes and goes meanwhile.
    let quick = Step { shared: Some(shared.clone()), ..bench.step("true") };
    assert_eq!(bench.run(quick).await.0.expect("an outcome").ended, Ended::Code(0));
    assert_eq!(steps(&build), 1);
    second.cancel();
    assert!(matches!(other.await.expect("no panic"), Err(SessionError::Cancelled)));
    assert_eq!(groups::of_build(&build), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn the_processes_of_all_steps_of_a_build_are_counted_together() {
    let Some(bench) = bench_that_shares().await else { return };
    let many = "for n in 1 2 3 4 5 6; do sleep 3 & done 2> /dev/null; wait; echo done";
    let run = async |pids| {
        let shared = shared(Limits { pids: Some(pids), ..Limits::default() });
        let step = || Step { shared: Some(shared.clone()), ..bench.step(many) };
        let (one, other) = tokio::join!(bench.run(step()), bench.run(step()));
        [one, other].map(|(outcome, _)| outcome.expect("an outcome").ended)
    };
    assert_eq!(run(100).await, [Ended::Code(0); 2]);
    // Seven are enough for one of them.
    let ended = run(10).await;
    assert!(ended.iter().any(|ended| *ended != Ended::Code(0)), "{ended:?}");
}

#[tokio::test]
async fn a_probe_tells_whether_builds_can_be_held_and_leaves_nothing() {
    let Some(bench) = bench_that_shares().await else { return };
    let gives = bench.session.probe().await.expect("usable").gives;
    for need in [StepNeed::SharedMemory, StepNeed::SharedCpu, StepNeed::SharedProcesses] {
        assert!(gives.contains(&need), "{need:?} in {gives:?}");
    }
}

/// Not a test of its own: what the next one kills.
#[tokio::test]
async fn a_process_to_be_killed() {
    let (Some(folder), Ok(build)) = (env::var_os("SHARED_TEST_STORE"), env::var("SHARED_TEST_BUILD")) else {
        return;
    };
    let Some(bench) = Bench::in_folder(Path::new(&folder)) else { return };
    let limits = Limits { memory: Some(64 << 20), ..Limits::default() };
    let build: BuildId = serde_json::from_value(build.into()).expect("an id");
    let shared = Some(SharedLimits { build, limits, required: true });
    bench.run(Step { shared, ..bench.step("sleep 60") }).await.0.expect("an outcome");
}

fn begin(folder: &Path, build: &BuildId) -> Child {
    Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "flows::session_shared::a_process_to_be_killed"])
        .env("SHARED_TEST_STORE", folder)
        .env("SHARED_TEST_BUILD", build.as_str())
        .env("POLYARCH_TEST_HELPER", helper())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |id: &i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        after_name.split_whitespace().nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    };
    ids.filter(is_child).map(Pid::from_raw).collect()
}

#[tokio::test]
async fn no_group_of_a_build_stays_whose_orchestrator_is_killed() {
    let Some(bench) = bench_that_shares().await else { return };
    let (folder, build) = (bench.path().join("killed"), BuildId::generate());
    let mut child = begin(&folder, &build);
    wait_for("the step", || steps(&build) == 1).await;
    child.kill().expect("killed");
    child.wait().expect("gone");
    wait_for("the clean-up", || groups::of_build(&build).is_empty()).await;
}

#[tokio::test]
async fn what_stays_when_the_guard_is_killed_too_goes_with_the_next_start() {
    let Some(bench) = bench_that_shares().await else { return };
    let (folder, build) = (bench.path().join("killed"), BuildId::generate());
    let mut child = begin(&folder, &build);
    wait_for("the step", || steps(&build) == 1).await;
    for guard in children(child.id()) {
        // One that has ended by itself is as good.
        let _ = kill(guard, Signal::SIGKILL);
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(steps(&build), 1, "nobody is there to clean up");
    let next = Bench::in_folder(&folder).expect("a bench");
    next.script(&next.base, "true").await;
    assert_eq!(groups::of_build(&build), Vec::<PathBuf>::new());
}

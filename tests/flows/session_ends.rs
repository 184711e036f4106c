//! Steps that are cut off, and what nobody finds of them.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use polyarch::session::{Ended, Session as _, SessionError, Step};
use tokio_util::sync::CancellationToken;

use crate::support::{
    buildah::{helper, left_behind, wait_for},
    session::Bench,
};

/// Processes and mounts that a step left, and files in the folders for temporary ones.
fn left(store: &Path, mark: &str) -> Vec<String> {
    let mut left = left_behind(store, Some(mark));
    let slots = fs::read_dir(store.join("backends/sandbox/slots")).into_iter().flatten().flatten();
    for slot in slots {
        let entries = fs::read_dir(slot.path().join("work")).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    left
}

fn is_running(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let sleep = format!("sleep\0{mark}\0");
    commands.into_iter().any(|command| command == sleep.as_bytes())
}

#[tokio::test]
async fn a_cancelled_or_dropped_step_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let mark = format!("66{}", std::process::id());
    for dropped in [false, true] {
        let cancel = CancellationToken::new();
        let step = bench.step(&format!("echo x > /file; setsid sleep {mark} & sleep {mark}"));
        let (session, token) = (bench.session.clone(), cancel.clone());
        let task = tokio::spawn(async move { session.run(step, &mut |_, _| {}, &token).await });
        wait_for("the step", || is_running(&mark)).await;
        let begun = Instant::now();
        if dropped {
            task.abort();
            wait_for("the clean-up", || left(bench.store.root(), &mark).is_empty()).await;
        } else {
            cancel.cancel();
            assert!(matches!(task.await.expect("no panic"), Err(SessionError::Cancelled)));
            assert_eq!(left(bench.store.root(), &mark), Vec::<String>::new());
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    bench.script(&bench.base, "true").await;
    bench.session.close().await;
    assert_eq!(left(bench.store.root(), &mark), Vec::<String>::new());
}

#[tokio::test]
async fn a_step_that_takes_too_long_is_killed_with_all_that_it_started() {
    let Some(bench) = Bench::new() else { return };
    let mark = format!("67{}", std::process::id());
    let timeout = Some(Duration::from_millis(500));
    let step = Step { timeout, ..bench.step(&format!("setsid sleep {mark} & sleep {mark}")) };
    let outcome = bench.run(step).await.0.expect("an outcome");
    assert_eq!(outcome.ended, Ended::TimedOut);
    assert!(!is_running(&mark));
}

#[tokio::test]
async fn what_a_command_leaves_running_ends_with_it() {
    let Some(bench) = Bench::new() else { return };
    let mark = format!("68{}", std::process::id());
    let script = format!("setsid sleep {mark} > /dev/null 2>&1 & echo done");
    assert_eq!(bench.script(&bench.base, &script).await.1, "done\n");
    assert!(!is_running(&mark));
}

/// Not a test of its own: what the next one kills.
#[tokio::test]
async fn a_process_to_be_killed() {
    let (Some(folder), Some(mark)) = (env::var_os("SESSION_TEST_STORE"), env::var("SESSION_TEST_MARK").ok())
    else {
        return;
    };
    let Some(bench) = Bench::in_folder(Path::new(&folder)) else { return };
    let step = bench.step(&format!("mkdir /d; chmod 0 /d; sleep {mark}"));
    bench.run(step).await.0.expect("an outcome");
}

#[tokio::test]
async fn a_step_whose_orchestrator_is_killed_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let mark = format!("69{}", std::process::id());
    let folder = bench.path().join("killed");
    let mut child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "flows::session_ends::a_process_to_be_killed"])
        .env("SESSION_TEST_STORE", &folder)
        .env("SESSION_TEST_MARK", &mark)
        .env("POLYARCH_TEST_HELPER", helper())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    wait_for("the step", || is_running(&mark)).await;
    child.kill().expect("killed");
    child.wait().expect("gone");
    wait_for("the clean-up", || left(&folder.join("store"), &mark).is_empty()).await;
    assert!(!is_running(&mark));
}

//! How soon nothing is left of a RUN step after its build was cancelled.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use polyarch::{
    BuildSpec, Orchestrator,
    queue::{BuildState, QueueOptions, records::NewBuild},
};
use polyarch_actors::{BackendId, Platform, queue::Tenant};

use crate::{base::Base, support};

/// How long to wait for what a killed build leaves.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn compare(rounds: usize) {
    let Some(busybox) = Base::busybox() else {
        return println!("SKIPPED: needs a static busybox (Debian package busybox-static)");
    };
    let base = Base::serve(&busybox).await;
    let folder = tempfile::tempdir().expect("a folder");
    let orchestrator =
        Orchestrator::builder().store(folder.path().join("store")).only(BackendId::new("sandbox"));
    let orchestrator = orchestrator.start().await.expect("it starts");
    let queue = orchestrator
        .queue(folder.path().join("data"), QueueOptions::default())
        .await
        .expect("the queue opens");
    let has_buildah = Command::new("buildah").arg("--version").stdout(Stdio::null()).status().is_ok();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut left = 0;
    for round in 0..rounds {
        // What no other process has in its command.
        let mark = format!("{}{:07}", 3, std::process::id() * 100 + u32::try_from(round).expect("few"));
        let context = folder.path().join(&mark);
        fs::create_dir(&context).expect("a context");
        fs::write(context.join("Dockerfile"), format!("FROM {}\nRUN busybox sleep {mark}\n", base.reference))
            .expect("a Dockerfile");
        let spec = BuildSpec::new(&context).platforms([Platform::host_linux()]);
        let id = queue.submit(NewBuild::new(spec)).await.expect("taken").id;
        if !began(&mark).await {
            let record = queue.get(&Tenant::default(), &id).await.expect("a record");
            return println!("SKIPPED: no step runs here ({:?}, {:?})", record.state, record.reason);
        }
        let asked = Instant::now();
        queue.cancel(&Tenant::default(), &id).await.expect("it runs");
        let record = queue.ended(&Tenant::default(), &id).await.expect("an end");
        ours.push(asked.elapsed());
        assert_eq!((record.state, running(&mark)), (BuildState::Cancelled, 0), "nothing of it is left");
        if has_buildah {
            let gone = buildah(folder.path(), &context, &mark).await;
            left += usize::from(gone.is_none());
            theirs.push(gone.unwrap_or(PATIENCE));
        }
    }
    println!("| cancelled | until nothing is left, p50 | p95 | something was left |\n|---|---|---|---|");
    let (middle, late) = (support::median(&ours), support::percentile(&ours, 95));
    println!("| a build of the queue, and its record says so | {middle:.1?} | {late:.1?} | never |");
    if theirs.is_empty() {
        println!("\nSKIPPED: needs buildah (Debian package buildah) for its side");
    } else {
        let (middle, late) = (support::median(&theirs), support::percentile(&theirs, 95));
        println!(
            "| `buildah build`, told by SIGTERM | {middle:.1?} | {late:.1?} | {left} of {rounds} after {PATIENCE:?} |"
        );
    }
    queue.close(Duration::ZERO).await;
    orchestrator.shutdown(Duration::ZERO).await;
}

/// From the signal until no process of the step is left; nothing where one stays.
async fn buildah(folder: &Path, context: &Path, mark: &str) -> Option<Duration> {
    let mut build = Command::new("buildah");
    build.arg("--root").arg(folder.join("root")).arg("--runroot").arg(folder.join("run"));
    build.args([
        "--storage-driver=vfs",
        "build",
        "--tls-verify=false",
        "--isolation=chroot",
        "--network=host",
    ]);
    let mut build =
        build.arg(context).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("buildah starts");
    assert!(began(mark).await, "buildah runs the step");
    let asked = Instant::now();
    Command::new("kill").arg(build.id().to_string()).status().expect("kill");
    while running(mark) > 0 && asked.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let time = asked.elapsed();
    let is_gone = running(mark) == 0;
    Command::new("pkill").args(["-KILL", "-f", mark]).status().expect("pkill");
    build.wait().expect("gone");
    is_gone.then_some(time)
}

async fn began(mark: &str) -> bool {
    let begun = Instant::now();
    while running(mark) == 0 {
        if begun.elapsed() > Duration::from_secs(30) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

/// How many processes have this in their command.
fn running(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let command = |process: fs::DirEntry| fs::read(process.path().join("cmdline")).unwrap_or_default();
    let is_ours = |command: &Vec<u8>| {
        let command = String::from_utf8_lossy(command);
        command.contains("sleep") && command.contains(mark)
    };
    processes.map(command).filter(is_ours).count()
}

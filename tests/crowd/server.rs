//! The server as a process: the HTTP API over a queue of builds, with backends that throw dice.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    iter::repeat_n,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use polyarch::{
    Orchestrator,
    actors::{
        RetryPolicy, SupervisorConfig,
        testing::{Act, Odds, ScriptedBackend},
    },
    queue::QueueOptions,
    service::{Access, Service, ServiceLimits, Tenants, queue_options, serve},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::shares;

/// How many builds run at once.
pub(super) const MAX_RUNNING: u64 = 16;
/// How many platforms each backend builds at once: fewer than could come to it.
const SLOTS: usize = 12;
/// The longest that a platform takes.
pub(super) const LONGEST: Duration = Duration::from_millis(300);
/// The platforms of the two backends that throw dice, and the one of which nothing ends by itself.
pub(super) const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/s390x"];

const FOLDER: &str = "POLYARCH_TEST_CROWD";
const SEED: &str = "POLYARCH_TEST_CROWD_SEED";

/// The server; killed with this.
pub(super) struct Server {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
    pub(super) address: String,
}

impl Server {
    /// Starts the server of a folder with `tenants.toml` in it.
    pub(super) fn start(folder: &Path, seed: u64) -> Self {
        let log = fs::File::create(folder.join(format!("server-{seed}.log"))).expect("a file");
        let mut process = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "crowd::server::the_server", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("started");
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let address = line_of(&mut output, "listening on ");
        Self { process, output, address }
    }

    /// Kills it, in the middle of whatever it does.
    pub(super) fn kill(mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("gone");
    }

    /// Has it end, and returns what its backends and its supervisor have to say.
    pub(super) fn end(mut self) -> String {
        drop(self.process.stdin.take());
        let said = line_of(&mut self.output, "ended ");
        assert!(self.process.wait().expect("gone").success());
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The rest of the next line that begins so.
fn line_of(output: &mut impl std::io::BufRead, beginning: &str) -> String {
    let mut lines = output.lines().map(|line| line.expect("text"));
    lines
        .find_map(|line| line.strip_prefix(beginning).map(str::to_owned))
        .unwrap_or_else(|| panic!("the server ended before it said {beginning:?}"))
}

/// A line of its own, behind what the test harness prints.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).expect("said");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "another test starts it as a process, and kills it"]
async fn the_server() {
    let (Some(folder), Ok(seed)) = (env::var_os(FOLDER), env::var(SEED)) else { return };
    let (folder, seed) = (PathBuf::from(folder), seed.parse().expect("a number"));
    let backends = [backend("left", seed, 0), backend("right", seed, 1), idle("still")];
    let supervisor = SupervisorConfig {
        // Dice lose more actors than a machine does.
        restarts: u32::MAX,
        retry: RetryPolicy { backoff: Duration::from_millis(5), ..RetryPolicy::default() },
        ..SupervisorConfig::default()
    };
    let mut builder = Orchestrator::builder().store(folder.join("store")).supervisor(supervisor);
    for backend in &backends {
        builder = builder.backend(Arc::new(backend.clone()));
    }
    let orchestrator = builder.start().await.expect("it starts");
    let tenants = Tenants::read(&folder.join("tenants.toml")).expect("tenants");
    let base = QueueOptions { max_running: MAX_RUNNING, min_free: 0, ..QueueOptions::default() };
    let data = folder.join("data");
    let queue = orchestrator.queue(&data, queue_options(base, tenants.all())).await.expect("the queue opens");
    tokio::spawn(shares::watch(queue.clone(), shares::file(&folder, seed)));
    let service =
        Service::open(Arc::new(queue.clone()), Access::Tokens(tenants), &data, ServiceLimits::default())
            .expect("a service");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    say(&format!("listening on {}", listener.local_addr().expect("an address")));
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(service, listener, None, stop.clone(), Duration::from_secs(5)));
    // Whoever started this has no more to ask, or has gone.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .expect("read")
        .expect("read");
    let report = orchestrator.requests().await.expect("a report");
    stop.cancel();
    server.await.expect("it ends");
    queue.close(Duration::ZERO).await;
    let taken: Vec<_> = report.resources.iter().filter(|resource| resource.taken > 0).collect();
    let violations: Vec<_> = backends.iter().flat_map(ScriptedBackend::violations).collect();
    let running: usize = backends.iter().map(ScriptedBackend::running).sum();
    say(&format!("ended with {running} running, taken: {taken:?}, violations: {violations:?}"));
}

/// A backend of one platform.
fn of_platform(id: &str, platform: &str, slots: usize) -> ScriptedBackend {
    ScriptedBackend::for_platforms(id, slots, [platform.parse().expect("a platform")])
}

fn backend(id: &str, seed: u64, platform: usize) -> ScriptedBackend {
    let odds = Odds {
        seed: seed * 10 + platform as u64,
        longest: LONGEST,
        host_faults: 6,
        user_faults: 5,
        panics: 2,
        losses: 0,
        hangs: 0,
    };
    // Its actor is lost early on: each further loss makes all wait for longer.
    let lost = || Act::LoseActor(Duration::from_millis(10));
    let early = [lost(), Act::Build(LONGEST), lost(), Act::Panic];
    of_platform(id, PLATFORMS[platform], SLOTS)
        .on(&PLATFORMS[platform].parse().expect("a platform"), early)
        .at_random(odds)
}

/// A backend of which nothing ends by itself.
fn idle(id: &str) -> ScriptedBackend {
    let platform = PLATFORMS[2].parse().expect("a platform");
    let slots = usize::try_from(MAX_RUNNING).expect("few");
    of_platform(id, PLATFORMS[2], slots).on(&platform, repeat_n(Act::Hang(Duration::from_millis(20)), 1000))
}

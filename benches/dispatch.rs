//! What does it cost to send a build through the actors, when the build itself takes no time?
//!
//! A request goes to the supervisor, which routes and admits it, to the actor of a backend that has the image at
//! once, and back. Beside it stands what a program would have without polyarch: the same message over a tokio
//! channel to a worker on another thread, answered over a oneshot; and the same with a relay between them, because
//! the actors are on two threads as well. Each is asked one request at a time, and 64 at once. The actors are asked
//! once more while a crowd waits for another backend, which should make no difference.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

mod support;

use std::{
    future::Future,
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix::Addr;
use criterion::{Criterion, Throughput};
use futures::{FutureExt as _, StreamExt as _, future::join_all};
use polyarch_actors::{
    BackendId, BuildId, BuildRequest, BuildSupervisor, EventSink, FailurePolicy, Outcome, Platform,
    PlatformOutcome, RunBuild, SharedBackend, StatusBoard, SupervisorConfig,
    queue::Share,
    testing::{self, Act, ScriptedBackend},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

/// How many requests are on their way at once in the second part.
const AT_ONCE: usize = 64;
/// How many builds wait in the last part.
const CROWD: usize = 1000;
/// The backend that they wait for.
const STUCK: &str = "stuck";
/// How many samples criterion takes of each.
const SAMPLES: usize = 60;

type Question = (RunBuild, oneshot::Sender<Outcome>);

fn main() {
    println!("{}\n", support::machine());
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let channel = worker(answer);
    let last = worker(answer);
    let relayed = worker(move |question| last.send(question).expect("the last worker is there"));
    let supervisor = actors();
    let ask_actors = || supervisor.send(run_build(None)).map(|outcome| outcome.expect("an answer"));
    let mut criterion = Criterion::default().sample_size(SAMPLES).configure_from_args();
    let mut summary = Vec::new();
    for at_once in [1, AT_ONCE] {
        let group = format!("dispatch, {at_once} at once");
        let mut measure = Measure { criterion: &mut criterion, runtime: &runtime, group: &group, at_once };
        let plain = measure.run("channel", || ask_channel(&channel));
        let relay = measure.run("channel and relay", || ask_channel(&relayed));
        let actors = measure.run("actors", ask_actors);
        for (name, time) in [("channel", plain), ("channel and relay", relay), ("actors", actors)] {
            let [of_plain, of_relay] = [plain, relay].map(|other| support::ratio(time, other));
            summary.push(format!("| {at_once} | {name} | {time:.2?} | {of_plain:.2}x | {of_relay:.2}x |"));
        }
    }
    runtime.block_on(gather(&supervisor));
    let group = format!("dispatch, 1 at once while {CROWD} wait");
    let mut measure = Measure { criterion: &mut criterion, runtime: &runtime, group: &group, at_once: 1 };
    let time = measure.run("actors", ask_actors);
    summary.push(format!("| 1 while {CROWD} wait | actors | {time:.2?} | | |"));
    criterion.final_summary();
    if !support::is_smoke() {
        println!("| at once | through | median of a request | of channel | of channel and relay |");
        println!("|---|---|---|---|---|\n{}", summary.join("\n"));
    }
}

struct Measure<'a> {
    criterion: &'a mut Criterion,
    runtime: &'a Runtime,
    group: &'a str,
    at_once: usize,
}

impl Measure<'_> {
    /// Lets criterion measure, and returns the median of its samples for one request.
    fn run<F: Future<Output = Outcome>>(&mut self, name: &str, ask: impl Fn() -> F) -> Duration {
        let Self { at_once, runtime, .. } = *self;
        let mut samples = Vec::new();
        let mut group = self.criterion.benchmark_group(self.group);
        group.throughput(Throughput::Elements(at_once as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let begun = Instant::now();
                runtime.block_on(async {
                    for _ in 0..rounds {
                        black_box(join_all((0..at_once).map(|_| ask())).await);
                    }
                });
                let taken = begun.elapsed();
                samples.push(taken / u32::try_from(rounds * at_once as u64).unwrap_or(u32::MAX));
                taken
            });
        });
        group.finish();
        // What comes before the samples is warming up.
        support::median(&samples[samples.len().saturating_sub(SAMPLES)..])
    }
}

/// The supervisor on a thread of its own, with a backend that never makes anybody wait and one that always does.
fn actors() -> Addr<BuildSupervisor> {
    let (started, supervisor) = std::sync::mpsc::channel();
    thread::spawn(move || {
        actix::System::new().block_on(async move {
            let free: SharedBackend = Arc::new(ScriptedBackend::new("free", AT_ONCE));
            let stuck =
                ScriptedBackend::new(STUCK, 1).on(&Platform::host_linux(), [Act::Hang(Duration::ZERO)]);
            let backends = vec![free, Arc::new(stuck)];
            let config = SupervisorConfig::default();
            let supervisor = BuildSupervisor::launch(backends, config, StatusBoard::default()).await;
            started.send(supervisor).expect("the benchmark waits");
            std::future::pending::<()>().await;
        });
    });
    supervisor.recv().expect("a supervisor")
}

/// Sends builds to the backend that is stuck, and returns when all wait.
async fn gather(supervisor: &Addr<BuildSupervisor>) {
    for _ in 0..=CROWD {
        let message = run_build(Some(BackendId::new(STUCK)));
        let mut events = message.events.subscribe();
        tokio::spawn(supervisor.send(message));
        events.next().await.expect("it is routed");
    }
}

/// A worker on a thread of its own.
fn worker(mut work: impl FnMut(Question) + Send + 'static) -> mpsc::UnboundedSender<Question> {
    let (sender, mut questions) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            while let Some(question) = questions.recv().await {
                work(question);
            }
        });
    });
    sender
}

/// Does what the scripted backend does.
fn answer((message, reply): Question) {
    let id = BackendId::new("channel");
    let ended = |platform: &Platform| PlatformOutcome {
        platform: platform.clone(),
        optional: false,
        result: Ok(testing::image(&id, platform)),
    };
    let platforms = message.requests.iter().map(|request| ended(&request.platform)).collect();
    // Nobody waits any more when the benchmark was ended.
    let _ = reply.send(Outcome { build: message.build, platforms });
}

fn ask_channel(worker: &mpsc::UnboundedSender<Question>) -> impl Future<Output = Outcome> + use<> {
    let (reply, answer) = oneshot::channel();
    worker.send((run_build(None), reply)).expect("the worker is there");
    answer.map(|outcome| outcome.expect("an answer"))
}

/// A build of one platform.
fn run_build(backend: Option<BackendId>) -> RunBuild {
    let build = BuildId::generate();
    let request = testing::request(&build, &Platform::host_linux());
    RunBuild {
        requests: vec![BuildRequest { backend, ..request }],
        policy: FailurePolicy::default(),
        share: Share::default(),
        events: EventSink::new(build.clone()),
        cancel: CancellationToken::new(),
        build,
    }
}

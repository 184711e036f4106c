//! What happens when many builds come at once: how long do they wait, how many end in a second, and what does
//! a waiting build cost?
//!
//! 1 to 1000 builds are begun at the same moment on a backend with 1, 4 and 16 slots whose only work is to wait ten
//! milliseconds. They go through a whole [`Orchestrator`](polyarch::Orchestrator) (the Dockerfile is read, and the
//! index of each build is written to the store), through the actors alone, and through what a program would have
//! without polyarch: a task for each build and a tokio semaphore. A last table holds the memory of each of 10,000
//! builds that wait.
//!
//! These are whole runs of a crowd, not a function called again and again, so the loop is its own and not
//! criterion's: rounds that alternate between the three, and medians.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

mod backend;
mod memory;
#[path = "../support/resident.rs"]
mod resident;
#[path = "../support/mod.rs"]
mod support;
mod way;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use self::{
    backend::Timed,
    way::{ALL, Kind, Way},
};

/// What the work of one build takes.
const WORK: Duration = Duration::from_millis(10);

/// What one round showed.
struct Round {
    /// From the first request to the last answer.
    whole: Duration,
    /// From the requests to the start of the work of the middle build.
    wait: Duration,
    /// The same for the slowest but one in a hundred.
    longest_wait: Duration,
}

fn main() {
    if memory::is_child() {
        return memory::measure();
    }
    println!("{}\n", support::machine());
    let (slots, builds, rounds): (&[u32], &[u32], usize) =
        if support::is_smoke() { (&[4], &[10], 1) } else { (&[1, 4, 16], &[1, 10, 100, 1000], 7) };
    println!(
        "| slots | builds | through | builds a second | time of the semaphore's | wait p50 | wait p99 |"
    );
    println!("|---|---|---|---|---|---|---|");
    for &slots in slots {
        // A thousand builds one after the other take long and show nothing new.
        for &builds in builds.iter().filter(|builds| **builds / slots <= 250) {
            compare(slots, builds, rounds);
        }
    }
    println!();
    memory::compare(if support::is_smoke() { 100 } else { 10_000 });
}

/// Lets all ways do the same by turns, and prints a line for each.
fn compare(slots: u32, builds: u32, rounds: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut contest = ALL.map(|kind| Contestant::new(&runtime, kind, slots as usize));
    for round in 0..=rounds {
        for contestant in &mut contest {
            let result = runtime.block_on(contestant.run(builds as usize));
            // The first one warms up.
            if round > 0 {
                contestant.rounds.push(result);
            }
        }
    }
    let plain = contest[0].median(|round| round.whole);
    for contestant in contest {
        let whole = contestant.median(|round| round.whole);
        println!(
            "| {slots} | {builds} | {} | {:.0} | {:.2}x | {:.1?} | {:.1?} |",
            contestant.kind,
            f64::from(builds) / whole.as_secs_f64(),
            support::ratio(whole, plain),
            contestant.median(|round| round.wait),
            contestant.median(|round| round.longest_wait),
        );
    }
}

/// One way and what it showed.
struct Contestant {
    kind: Kind,
    backend: Arc<Timed>,
    way: Way,
    rounds: Vec<Round>,
}

impl Contestant {
    fn new(runtime: &Runtime, kind: Kind, slots: usize) -> Self {
        let backend = Arc::new(Timed::new(slots));
        let way = runtime.block_on(Way::open(kind, slots, backend.clone()));
        Self { kind, backend, way, rounds: Vec::new() }
    }

    async fn run(&self, builds: usize) -> Round {
        self.backend.prepare(builds, WORK);
        let begun = Instant::now();
        self.way.run(builds).await;
        let whole = begun.elapsed();
        let waits = self.backend.waits(begun);
        assert_eq!(waits.len(), builds, "every build has run once");
        Round { whole, wait: support::median(&waits), longest_wait: support::percentile(&waits, 99) }
    }

    fn median(&self, what: fn(&Round) -> Duration) -> Duration {
        support::median(&self.rounds.iter().map(what).collect::<Vec<_>>())
    }
}

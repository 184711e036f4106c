//! Does polyarch make builds with buildah faster, and what does it cost one build?
//!
//! 1 to 16 builds are begun at the same moment: by one orchestrator, and by as many bare `buildah build` processes on
//! one storage root. Both build the same contexts with the same isolation, driver and flags, from a base that is
//! there. *Cold* means that no step was ever run; *warm* is the same again with nothing changed.
//!
//! polyarch ends with the image in an OCI store outside of buildah, compressed and hashed. `buildah build` does not,
//! so there are two peers: the build alone, and the build with `buildah push` to an OCI layout, which ends with the
//! same as polyarch. For one build, the `polyarch` command is measured too.
//!
//! Every round has storage of its own, and the sides take turns, the next one first in each round. A run is seconds
//! long and must start from nothing, so the loop is its own and not criterion's. Options: `--sizes 1,16`,
//! `--rounds 5`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

mod bare;
#[path = "../support/base.rs"]
mod base;
mod ours;
#[path = "../support/storage.rs"]
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod work;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use self::{
    bare::Bare,
    base::Base,
    ours::{Cli, Ours},
    storage::{Manner, remove},
};

/// Who builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// `buildah build`.
    Build,
    /// `buildah build` and `buildah push`.
    BuildAndPush,
    /// The orchestrator.
    Polyarch,
    /// The `polyarch` command.
    Cli,
}

/// What was taken in one state of the cache.
type OfState = fn(&Taken) -> &Vec<Spent>;

/// The states of the cache by name.
const STATES: [(&str, OfState); 2] = [("cold", |taken| &taken.cold), ("warm", |taken| &taken.warm)];

struct Bench {
    runtime: Runtime,
    folder: tempfile::TempDir,
    base: Base,
    manner: Manner,
    cli: Option<PathBuf>,
}

/// What one side took.
struct Taken {
    side: Side,
    cold: Vec<Spent>,
    warm: Vec<Spent>,
}

#[derive(Clone, Copy)]
struct Spent {
    time: Duration,
    /// The time of all CPUs.
    cpu: Duration,
}

fn main() {
    // This program is the helper of its own builds.
    polyarch::init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("found");
    let what = match runtime.block_on(ours::usable(&store)) {
        Ok(what) => what,
        Err(why) => return println!("SKIPPED: {why}"),
    };
    let Some(busybox) = Base::busybox() else {
        return println!(
            "SKIPPED: there is no busybox to make a base image of (apt-get install busybox-static)"
        );
    };
    println!("{}\n{what}\n", support::machine());
    let base = runtime.block_on(Base::serve(&busybox));
    let manner = Manner::of_store(&store).expect("what polyarch found out");
    let cli =
        option_env!("CARGO_BIN_EXE_polyarch").map(PathBuf::from).or_else(|| option("--cli").map(Into::into));
    let bench = Bench { runtime, folder, base, manner, cli };
    let sizes =
        option("--sizes").unwrap_or_else(|| if support::is_smoke() { "2" } else { "1,2,4,8,16" }.into());
    let rounds = option("--rounds")
        .map_or(if support::is_smoke() { 1 } else { 5 }, |text| text.parse().expect("a number"));
    println!("| builds at once | by | time | of build | of build + push | CPU |");
    println!("|---|---|---|---|---|---|");
    for size in sizes.split(',') {
        bench.compare(size.parse().expect("a number"), rounds);
    }
}

/// The value after an option of this program.
fn option(name: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != name).nth(1)
}

impl Bench {
    /// Lets all sides do the same by turns, and prints a line for each.
    fn compare(&self, builds: usize, rounds: usize) {
        let contexts = self.folder.path().join(format!("contexts-{builds}"));
        let contexts = work::contexts(&contexts, &self.base.reference, builds).expect("contexts");
        let mut sides = vec![Side::Build, Side::Polyarch, Side::BuildAndPush];
        if builds == 1 && self.cli.is_some() {
            sides.push(Side::Cli);
        }
        let mut all: Vec<Taken> =
            sides.into_iter().map(|side| Taken { side, cold: Vec::new(), warm: Vec::new() }).collect();
        for round in 0..rounds {
            let first = round % all.len();
            for at in (first..all.len()).chain(0..first) {
                let [cold, warm] = self.run(all[at].side, &contexts);
                all[at].cold.push(cold);
                all[at].warm.push(warm);
            }
        }
        for (state, of_state) in STATES {
            let medians = all.iter().map(|taken| {
                let of = |what: fn(&Spent) -> Duration| {
                    support::median(&of_state(taken).iter().map(what).collect::<Vec<_>>())
                };
                (taken.side, of(|spent| spent.time), of(|spent| spent.cpu))
            });
            let medians: Vec<_> = medians.collect();
            let of_side = |wanted| {
                medians.iter().find(|(side, ..)| *side == wanted).map_or(Duration::ZERO, |side| side.1)
            };
            let [build, push] = [Side::Build, Side::BuildAndPush].map(of_side);
            for (side, time, cpu) in &medians {
                println!(
                    "| {builds} {state} | {} | {:.2} s | {:.2}x | {:.2}x | {:.2} s |",
                    side.name(),
                    time.as_secs_f64(),
                    support::ratio(*time, build),
                    support::ratio(*time, push),
                    cpu.as_secs_f64(),
                );
            }
        }
    }

    /// Builds twice on fresh storage: cold and warm.
    fn run(&self, side: Side, contexts: &[PathBuf]) -> [Spent; 2] {
        let folder = self.folder.path().join("side");
        let base = &self.base.reference;
        let times = match side {
            Side::Build | Side::BuildAndPush => {
                let bare = Bare::open(folder.clone(), self.manner.clone(), base, side == Side::BuildAndPush);
                twice(|| bare.build(contexts))
            }
            Side::Polyarch => {
                let ours = Ours::open(&self.runtime, &folder, base);
                twice(|| ours.build(contexts))
            }
            Side::Cli => {
                let cli = Cli::open(self.cli.as_deref().unwrap_or(Path::new("polyarch")), &folder, base);
                twice(|| contexts.iter().for_each(|context| cli.build(context)))
            }
        };
        remove(&folder);
        times
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Build => "buildah build",
            Self::BuildAndPush => "buildah build + push",
            Self::Polyarch => "polyarch",
            Self::Cli => "polyarch (command)",
        }
    }
}

fn twice(work: impl Fn()) -> [Spent; 2] {
    [(); 2].map(|()| {
        // What others wrote must not be waited for by this one.
        let _ = Command::new("sync").status();
        let (begun, cpu) = (Instant::now(), cpu());
        work();
        Spent { time: begun.elapsed(), cpu: self::cpu().saturating_sub(cpu) }
    })
}

/// The CPU time of this process and of all its children that have ended, and theirs.
fn cpu() -> Duration {
    // Source: proc_pid_stat(5); a tick is 10 ms on every Linux that builds images.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

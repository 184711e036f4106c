//! How fast is polyarch's own engine, beside its peers and beside the machine?
//!
//! The `polyarch` command, buildah, and BuildKit where its daemon answers, build the same contexts by turns, the next
//! one first in each round. Each row is one state of the store. *Cold* is a fresh store, with nothing in it but the base
//! image; the page cache is warm for all sides. A row has a goal: a part of what buildah takes, of what a compile stage
//! takes alone, or of the *floor*, which is reading, hashing and compressing the same bytes with nothing else.
//!
//! Options: `--only files,big`, `--rounds 5`, `--scale 0.1` (sizes and durations), `--cli PROGRAM`,
//! `--buildkit ADDRESS` (else `$BUILDKIT_HOST`).

#![expect(clippy::print_stdout, reason = "a benchmark prints what it found")]

#[path = "../support/base.rs"]
mod base;
mod contexts;
mod floor;
mod memory;
mod side;
#[path = "../support/storage.rs"]
mod storage;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod work;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use self::{
    base::Base,
    contexts::{Contexts, Kind},
    side::{Job, Side},
    storage::Manner,
    table::{Row, Spent},
    work::{Goal, State, Work},
};

/// What is built to show that the benchmark still works: something of everything.
const SMOKE: &str = "small-1,files-oci,big,compile-2,many";

struct Bench {
    folder: tempfile::TempDir,
    busybox: PathBuf,
    contexts: Contexts,
    sides: Vec<Side>,
    rounds: usize,
    /// Counts what was changed, so that no change is the same as one before.
    changes: usize,
}

fn main() {
    let Some(program) = option("--cli")
        .or_else(|| option_env!("CARGO_BIN_EXE_polyarch").map(String::from))
        .map(PathBuf::from)
    else {
        return println!("SKIPPED: there is no polyarch (--cli PROGRAM)");
    };
    let Some(busybox) = Base::busybox() else {
        return println!(
            "SKIPPED: there is no busybox to make a base image of (apt-get install busybox-static)"
        );
    };
    let folder = tempfile::tempdir().expect("a folder");
    let found = look_around(&program, &folder.path().join("found"));
    let Some(manner) = Manner::of_store(&folder.path().join("found")) else {
        return println!("SKIPPED: buildah cannot be used here (apt-get install buildah)\n{found}");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let base = runtime.block_on(Base::serve(&busybox));
    let number = |name: &str| option(name).map(|text| text.parse::<f64>().expect("a number"));
    let scale = number("--scale").unwrap_or(if support::is_smoke() { 0.002 } else { 1.0 });
    let rounds = option("--rounds").map(|text| text.parse().expect("a number"));
    let stage = Duration::from_secs(2).mul_f64(scale).max(Duration::from_millis(50));
    let contexts = Contexts {
        folder: folder.path().join("contexts"),
        base: base.reference.clone(),
        scale,
        count: floor::count_within(&busybox, stage),
    };
    let mut sides = vec![Side::Polyarch { program }, Side::Buildah { manner }];
    sides.extend(Side::buildkit(option("--buildkit")));
    println!("{}\n", support::machine());
    let mut bench = Bench {
        folder,
        busybox,
        contexts,
        sides,
        rounds: rounds.unwrap_or(if support::is_smoke() { 1 } else { 3 }),
        changes: 0,
    };
    let only = option("--only").or_else(|| support::is_smoke().then(|| SMOKE.into()));
    let chosen = |work: &Work| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == work.name));
    table::head();
    for work in work::all().into_iter().filter(chosen) {
        bench.compare(&work);
    }
}

/// The value after an option of this program.
fn option(name: &str) -> Option<String> {
    env::args().skip_while(|argument| argument != name).nth(1)
}

/// Lets polyarch find out what this machine has, and returns what it says.
fn look_around(program: &Path, store: &Path) -> String {
    let output = Command::new(program).arg("--store").arg(store).arg("backends").output();
    let output = output.expect("polyarch runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Bench {
    /// Lets all sides do the same by turns, and prints a line for each state.
    fn compare(&mut self, work: &Work) {
        let contexts = self.contexts.of(work.kind);
        let mut rows: Vec<Row> =
            work.states.iter().map(|(state, goal)| Row::new(*state, *goal, self.sides.len())).collect();
        for round in 0..self.rounds {
            let first = round % self.sides.len();
            for side in (first..self.sides.len()).chain(0..first) {
                self.run(work, &contexts, side, &mut rows);
            }
        }
        for row in &rows {
            row.print(work.title);
        }
        if work.kind == Kind::Runs {
            table::for_each(&rows[0], &self.sides, self.contexts.runs());
        }
    }

    /// Builds once in each state, on a fresh store.
    fn run(&mut self, work: &Work, contexts: &[PathBuf], side: usize, rows: &mut [Row]) {
        let uses_base = !matches!(work.kind, Kind::Files | Kind::Big);
        let own = &work.platforms[..1];
        let platforms = if work.kind == Kind::Small { &work.platforms } else { own };
        let base = uses_base.then_some((self.contexts.base.as_str(), platforms));
        let opened = self.sides[side].open(self.folder.path().join("side"), base);
        let jobs: Vec<Job<'_>> = contexts
            .iter()
            .map(|context| Job { context, platforms: &work.platforms, exports: work.exports })
            .collect();
        for row in rows {
            if row.state == State::OneChanged {
                self.changes += 1;
                for context in contexts {
                    Contexts::change(context, self.changes);
                }
            }
            // Some machines give up what nobody has read for seconds, and all sides are to find the files in memory.
            for context in contexts {
                floor::read(context);
            }
            // What others wrote must not be waited for by this one.
            let _ = Command::new("sync").status();
            let begun = Instant::now();
            let memory = opened.build_all(&jobs);
            row.sides[side].push(Spent { time: begun.elapsed(), memory });
            // Right after polyarch, so that both have the same of what others leave of the machine.
            match row.goal {
                _ if side > 0 => {}
                Goal::OfFloor(_) => row.beside.push(floor::copy(&contexts[0].join("source"))),
                Goal::OfStage(_) => row.beside.push(floor::count(&self.busybox, self.contexts.count)),
                Goal::OfBuildah(_) | Goal::None => {}
            }
        }
    }
}

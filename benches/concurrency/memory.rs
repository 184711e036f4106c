//! The memory of a build that waits: what the process grows by (`VmRSS`) when a crowd waits for one busy slot,
//! divided by the crowd.
//!
//! Each way is measured in a process of its own, since memory that one gave back would be used by the next.

use std::{env, process::Command, sync::Arc, time::Duration};

use polyarch_actors::{
    Platform,
    testing::{Act, ScriptedBackend},
};
use tokio::time::sleep;

use crate::{
    resident::resident,
    way::{ALL, Kind, Way},
};

/// Makes this program measure one way and print a number: `way:builds`.
const VARIABLE: &str = "POLYARCH_BENCH_MEMORY";

/// Whether this process is to measure one way.
pub(crate) fn is_child() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Measures each way and prints a line for each.
pub(crate) fn compare(builds: u32) {
    if resident().is_none() {
        return println!("SKIPPED: this system has no /proc/self/status to read VmRSS from");
    }
    println!("| waiting builds | through | kB of each |\n|---|---|---|");
    for kind in ALL {
        let program = env::current_exe().expect("this program");
        let child =
            Command::new(program).env(VARIABLE, format!("{kind}:{builds}")).output().expect("a child");
        let (said, wrong) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        let kilobytes: u32 = said.trim().parse().unwrap_or_else(|_| panic!("{wrong}"));
        println!("| {builds} | {kind} | {:.1} |", f64::from(kilobytes) / f64::from(builds));
    }
}

/// Measures the one way that the variable names.
pub(crate) fn measure() {
    let order = env::var(VARIABLE).expect("an order");
    let (kind, builds) = order.split_once(':').expect("a way and a number");
    let kind = ALL.into_iter().find(|known| known.to_string() == kind).expect("a way");
    let builds = builds.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    println!("{}", runtime.expect("a runtime").block_on(grown(kind, builds)));
    // Nobody needs the builds any more, and one of them never ends.
    std::process::exit(0);
}

/// By how many kB the process grows when that many builds wait.
async fn grown(kind: Kind, builds: usize) -> u64 {
    let backend =
        ScriptedBackend::new("scripted", 1).on(&Platform::host_linux(), [Act::Hang(Duration::ZERO)]);
    let way = Way::open(kind, 1, Arc::new(backend.clone())).await;
    way.enqueue().await;
    while backend.running() == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let before = resident();
    for _ in 0..builds {
        way.enqueue().await;
    }
    sleep(Duration::from_millis(100)).await;
    resident().zip(before).map_or(0, |(now, before)| now.saturating_sub(before))
}

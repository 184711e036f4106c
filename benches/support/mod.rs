//! What all benchmarks share: how they are asked to run, and how numbers are shown.

use std::{env, fs, num::NonZero, thread, time::Duration};

/// Whether this is only to show that the benchmark still works: `cargo test` starts it so, `cargo bench` does not.
pub(crate) fn is_smoke() -> bool {
    let given = |flag: &str| env::args().any(|argument| argument == flag);
    given("--test") || !given("--bench")
}

/// The middle value; 0 of nothing.
pub(crate) fn median(values: &[Duration]) -> Duration {
    percentile(values, 50)
}

/// The value that this many in a hundred do not exceed; 0 of nothing.
pub(crate) fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(place).copied().unwrap_or_default()
}

/// One time as a part of another.
pub(crate) fn ratio(ours: Duration, theirs: Duration) -> f64 {
    ours.as_secs_f64() / theirs.as_secs_f64()
}

/// The machine in a few words, for the head of a table.
pub(crate) fn machine() -> String {
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let words = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = words("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(env::consts::ARCH, |(_, model)| model);
    let load = words("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown");
    format!("{cpus} CPUs ({model}), {}, load at the start {load}", env::consts::OS)
}

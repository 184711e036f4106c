//! How much memory a command and its helpers take.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    process::{Child, ExitStatus},
    thread,
    time::Duration,
};

/// The most memory that each process had at once, in KiB, by what it was started as.
pub(crate) type Peaks = BTreeMap<String, u64>;

/// A field of the status of a process, without its unit.
fn status(process: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(process.join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

/// Waits for a command, and for each process below it looks at how much memory it had at once.
pub(crate) fn watch(mut command: Child) -> (ExitStatus, Peaks) {
    let mut peaks = BTreeMap::new();
    let mut family = HashSet::from([u64::from(command.id())]);
    loop {
        for process in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u64>().ok()) else {
                continue;
            };
            let path = process.path();
            if !family.contains(&pid) && !status(&path, "PPid").is_some_and(|pid| family.contains(&pid)) {
                continue;
            }
            family.insert(pid);
            let name = String::from_utf8_lossy(&fs::read(path.join("cmdline")).unwrap_or_default())
                .split('\0')
                .take(2)
                .collect::<Vec<_>>()
                .join(" ");
            // What was forked and not executed yet still has this program's memory.
            if std::env::args().next().is_some_and(|this| name.starts_with(&this)) {
                continue;
            }
            let peak = status(&path, "VmHWM").unwrap_or_default();
            let known: &mut u64 = peaks.entry(name).or_default();
            *known = peak.max(*known);
        }
        if let Some(status) = command.try_wait().expect("a child") {
            return (status, peaks);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

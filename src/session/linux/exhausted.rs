//! Whose memory ran out when the kernel killed a process.
//!
//! Sources: Linux, `Documentation/admin-guide/cgroup-v1/memory.rst` (`memory.oom_control`, `failcnt`) and
//! `cgroup-v2.rst` (`memory.events`, `memory.events.local`).

use std::{fs, path::Path};

/// Whose limit of memory cost a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// That of the step.
    Step,
    /// That of all steps of the build together.
    Build,
}

/// What a group has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Whether a process in it was killed because there was no memory left.
    killed: bool,
    /// Whether it was its own limit that left no more.
    hit: bool,
}

/// Decides whose memory ran out for a step, if it was that of anybody: what its own group has counted, what that of its
/// build has counted, and whether it has a limit of its own.
pub(super) fn exhausted(step: Counts, build: Option<Counts>, is_limited: bool) -> Option<Exhausted> {
    match build {
        _ if !step.killed => None,
        Some(build) if build.hit && !(is_limited && step.hit) => Some(Exhausted::Build),
        // Where only the build has a limit and has not come to it, it was the machine that had none left.
        _ => is_limited.then_some(Exhausted::Step),
    }
}

impl Counts {
    /// Reads what a group has counted.
    pub(super) fn read(folder: &Path, unified: bool) -> Self {
        let text = |file: &str| fs::read_to_string(folder.join(file)).ok();
        if unified {
            // The other file counts for the groups below too. Kernels before 5.2 have only that.
            let events = text("memory.events").unwrap_or_default();
            let own = text("memory.events.local").unwrap_or_else(|| events.clone());
            return Self { killed: count(&events, "oom_kill") > 0, hit: count(&own, "oom") > 0 };
        }
        let failed = |file: &str| text(file).is_some_and(|text| text.trim() != "0");
        let control = text("memory.oom_control").unwrap_or_default();
        let hit = failed("memory.failcnt") || failed("memory.memsw.failcnt");
        Self { killed: count(&control, "oom_kill") > 0, hit }
    }
}

/// The number behind a name, of those that have a line each.
fn count(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(found, _)| *found == name).and_then(|(_, count)| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_named_that_was_hit() {
        let counts = |killed, hit| Counts { killed, hit };
        let (quiet, killed) = (counts(false, false), counts(true, false));
        for (step, build, is_limited, expected) in [
            (quiet, None, true, None),
            (quiet, Some(counts(true, true)), true, None),
            (killed, None, true, Some(Exhausted::Step)),
            (counts(true, true), None, true, Some(Exhausted::Step)),
            (killed, None, false, None),
            (killed, Some(counts(true, true)), false, Some(Exhausted::Build)),
            (killed, Some(counts(true, true)), true, Some(Exhausted::Build)),
            (counts(true, true), Some(counts(true, true)), true, Some(Exhausted::Step)),
            (killed, Some(quiet), false, None),
            (killed, Some(quiet), true, Some(Exhausted::Step)),
        ] {
            assert_eq!(exhausted(step, build, is_limited), expected, "{step:?} {build:?} {is_limited}");
        }
    }

    #[test]
    fn both_versions_of_groups_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        assert_eq!(Counts::read(path, true), Counts::default());
        assert_eq!(Counts::read(path, false), Counts::default());
        let write = |file: &str, text: &str| fs::write(path.join(file), text).expect("written");
        write("memory.events", "low 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n");
        assert_eq!(Counts::read(path, true), Counts { killed: true, hit: true });
        write("memory.events.local", "max 0\noom 0\noom_kill 1\n");
        assert_eq!(Counts::read(path, true), Counts { killed: true, hit: false });
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
        write("memory.failcnt", "0\n");
        assert_eq!(Counts::read(path, false), Counts { killed: true, hit: false });
        write("memory.memsw.failcnt", "4\n");
        assert_eq!(Counts::read(path, false), Counts { killed: true, hit: true });
    }
}

//! Finds and kills descendants, where no pid namespace does it.

use std::{collections::BTreeMap, fs, process, time::Duration};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

/// How often the process table is read before giving up: a process that forks faster than it is killed, or
/// that hangs in the kernel.
const ROUNDS: u32 = 200;

/// Kills every descendant of this process and waits until none is left. This process must be their
/// subreaper, so that orphans stay its descendants. Returns how many are left.
pub(super) async fn kill_all() -> usize {
    for round in 0..ROUNDS {
        let found = descendants(&parents(), process::id());
        if found.is_empty() {
            return 0;
        }
        for pid in found {
            let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
            // Both fail for what is gone already or is the child of another; the next round sees.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
        tokio::time::sleep(Duration::from_millis(u64::from(round.min(20)))).await;
    }
    descendants(&parents(), process::id()).len()
}

/// The parent of every process.
fn parents() -> BTreeMap<u32, u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parent_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect()
}

/// The parent's id in the text of `/proc/<pid>/stat`. The name of the program stands in parentheses and may
/// hold any character.
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Everything below `root`, in no order.
fn descendants(parents: &BTreeMap<u32, u32>, root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        let children = parents.iter().filter(|(_, its)| **its == parent).map(|(pid, _)| *pid);
        let children: Vec<u32> = children.collect();
        next.extend(&children);
        found.extend(children);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_program_name() {
        assert_eq!(parent_in("12 (sleep) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in("12 (a) b) (S 9) R 7 12 12 0"), Some(7));
        assert_eq!(parent_in("12"), None);
    }

    #[test]
    fn descendants_of_all_generations_are_found_and_nothing_else() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 9)]);
        let mut found = descendants(&parents, 2);
        found.sort_unstable();
        assert_eq!(found, [3, 4]);
    }
}

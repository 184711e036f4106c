//! How much memory there is for everything that runs here.
//!
//! Sources: proc(5) (`/proc/meminfo`), Linux, `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The memory of this machine, or what the control groups that this process is in may take of it, in bytes.
pub(crate) fn total() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(of_groups(&groups, Path::new("/sys/fs/cgroup"))).min()
}

/// What `/proc/meminfo` says.
fn of_machine(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1 << 10)
}

/// The lowest limit of the groups that `/proc/self/cgroup` names, and of those above them.
fn of_groups(text: &str, top: &Path) -> Option<u64> {
    let limits = text.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let (top, file) = if controllers.is_empty() {
            (top.to_owned(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (top.join("memory"), "memory.limit_in_bytes")
        } else {
            return Vec::new();
        };
        // In a container, the path may be one that only the machine outside knows.
        let group = top.join(path.trim_start_matches('/'));
        let groups = group.ancestors().take_while(|folder| folder.starts_with(&top));
        let groups: Vec<PathBuf> = groups.map(Path::to_owned).collect();
        groups.into_iter().map(|group| group.join(file)).collect()
    });
    let read = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    limits.filter_map(read).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_counts_whatever_the_version_of_groups() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path();
        let write = |group: &str, file: &str, text: &str| {
            fs::create_dir_all(top.join(group)).expect("made");
            fs::write(top.join(group).join(file), text).expect("written");
        };
        assert_eq!(of_groups("0::/a/b\n", top), None);
        write("a", "memory.max", "4096\n");
        write("a/b", "memory.max", "max\n");
        assert_eq!(of_groups("0::/a/b\n", top), Some(4096));
        assert_eq!(of_groups("0::/gone\n", top), None);
        write("memory/c/d", "memory.limit_in_bytes", "2048\n");
        write("memory", "memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of_groups("9:cpu:/c\n8:memory:/c/d\n0::/a\n", top), Some(2048));
        assert_eq!(of_groups("8:memory:/c\n", top), Some(9_223_372_036_854_771_712));
        assert_eq!(of_groups("odd\n\n8:memory\n", top), Some(9_223_372_036_854_771_712));
    }

    #[test]
    fn the_memory_of_the_machine_is_read_in_bytes() {
        let text = "MemFree: 1 kB\nMemTotal:       24684316 kB\n";
        assert_eq!(of_machine(text), Some(24_684_316 << 10));
        assert_eq!(of_machine("MemTotal: x kB"), None);
        assert!(!cfg!(target_os = "linux") || total().is_some_and(|bytes| bytes > 1 << 20));
    }
}

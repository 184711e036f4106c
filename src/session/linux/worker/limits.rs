//! What a step may use up, by control groups.
//!
//! Sources: Linux, `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/`; what systemd and container runtimes
//! mount where.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{
    guard::group,
    session::{linux::slot::limited, step::Limits},
};

/// How long a period of CPU time is, in microseconds.
const PERIOD: u64 = 100_000;

/// The groups of one step. Dropping it removes them.
#[derive(Debug, Default)]
pub(super) struct Groups {
    folders: Vec<PathBuf>,
    /// Where a process enters them.
    pub(super) doors: Vec<File>,
    /// What cannot be limited here.
    pub(super) problems: Vec<String>,
}

/// Holds a step to its limits, as far as this user may. `name` is the group of this helper.
pub(super) fn hold(name: &str, limits: &Limits) -> Groups {
    let mut groups = Groups::default();
    if let Limits { memory: None, millicpus: None, pids: Some(pids) } = limits
        && group::is_entered(name)
        && fs::write(group::folder(name).join("pids.max"), pids.to_string()).is_ok()
    {
        // The few of this helper count as well. That is nothing compared with entering another group.
        return groups;
    }
    let name = &limited(name);
    let unified = group::is_unified();
    let quota = limits.millicpus.map(|cpus| cpus * PERIOD / 1000);
    let settings = if unified {
        [
            ("memory", limits.memory.map(|bytes| ("memory.max", bytes.to_string()))),
            ("pids", limits.pids.map(|pids| ("pids.max", pids.to_string()))),
            ("cpu", quota.map(|quota| ("cpu.max", format!("{quota} {PERIOD}")))),
        ]
    } else {
        [
            ("memory", limits.memory.map(|bytes| ("memory.limit_in_bytes", bytes.to_string()))),
            ("pids", limits.pids.map(|pids| ("pids.max", pids.to_string()))),
            ("cpu", quota.map(|quota| ("cpu.cfs_quota_us", quota.to_string()))),
        ]
    };
    for (controller, setting) in settings {
        let Some((file, value)) = setting else { continue };
        let top = if unified { PathBuf::from(group::TOP) } else { Path::new(group::TOP).join(controller) };
        if let Err(error) = groups.hold(&top.join(name), file, &value) {
            groups.problems.push(format!("{controller} cannot be limited: {error}"));
        }
    }
    groups
}

impl Groups {
    fn hold(&mut self, folder: &Path, file: &str, value: &str) -> io::Result<()> {
        if !self.folders.iter().any(|known| known == folder) {
            fs::create_dir_all(folder)?;
            self.folders.push(folder.to_owned());
            self.doors.push(File::options().write(true).open(folder.join("cgroup.procs"))?);
        }
        fs::write(folder.join(file), value)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The guard removes what stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

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
    session::{error::Failure, linux::slot::limited, step::Limits},
};

/// As many processes and threads as a step may have at once that no other number is said for, where control groups allow
/// it: a fork bomb meets its end before the machine does. podman gives 2048 to a container; builds start more than most
/// services do.
const MOST_PROCESSES: u64 = 8192;
/// What a setting of a group needs.
const PIDS: &str = "pids";
const MEMORY: &str = "memory";
const CPU: &str = "cpu";

/// The groups of one step. Dropping it removes them.
#[derive(Debug, Default)]
pub(super) struct Groups {
    folders: Vec<PathBuf>,
    /// Where a process enters them.
    pub(super) doors: Vec<File>,
    /// What cannot be limited here: a controller, and why not.
    problems: Vec<(&'static str, io::Error)>,
    /// Where it is counted how many processes were killed for their memory.
    kills: Option<PathBuf>,
}

/// A value for a file of a group.
struct Setting {
    controller: &'static str,
    file: &'static str,
    value: String,
    /// Whether the limit counts without it.
    optional: bool,
}

/// Holds a step to its limits, as far as this user may. `name` is the group of this helper.
pub(super) fn hold(name: &str, limits: &Limits) -> Groups {
    let mut groups = Groups::default();
    let pids = group::folder(name).join("pids.max");
    if *limits == Limits::default()
        && group::is_entered(name)
        && fs::write(pids, MOST_PROCESSES.to_string()).is_ok()
    {
        // The few of this helper count as well. That is nothing compared with entering another group.
        return groups;
    }
    let name = &limited(name);
    let top = Path::new(group::TOP);
    let unified = group::is_unified();
    let settings = if unified { of_version_2(limits) } else { of_version_1(limits) };
    for Setting { controller, file, value, optional } in settings {
        let folder = if unified { top.join(name) } else { top.join(controller).join(name) };
        match groups.hold(&folder, file, &value) {
            // Not every kernel counts what is swapped out.
            Err(_) if optional => {}
            Err(error) => groups.problems.push((controller, error)),
            Ok(()) if controller == MEMORY => {
                let counts = if unified { "memory.events" } else { "memory.oom_control" };
                groups.kills = Some(folder.join(counts));
            }
            Ok(()) => {}
        }
    }
    groups
}

/// Of memory, as much again may be swapped out, as Docker has it.
fn of_version_2(limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(bytes) = limits.memory {
        settings.push(Setting::new(MEMORY, "memory.max", bytes));
        settings.push(Setting { optional: true, ..Setting::new(MEMORY, "memory.swap.max", bytes) });
    }
    settings.push(of_processes(limits));
    if let Some(cpu) = limits.cpu_quota() {
        settings.push(Setting::new(CPU, "cpu.max", format!("{} {}", cpu.quota, cpu.period)));
    }
    settings
}

fn of_version_1(limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(bytes) = limits.memory {
        settings.push(Setting::new(MEMORY, "memory.limit_in_bytes", bytes));
        // This counts what is in memory as well.
        let both = bytes.saturating_mul(2).min(i64::MAX.unsigned_abs());
        settings
            .push(Setting { optional: true, ..Setting::new(MEMORY, "memory.memsw.limit_in_bytes", both) });
    }
    settings.push(of_processes(limits));
    if let Some(cpu) = limits.cpu_quota() {
        settings.push(Setting::new(CPU, "cpu.cfs_period_us", cpu.period));
        settings.push(Setting::new(CPU, "cpu.cfs_quota_us", cpu.quota));
    }
    settings
}

fn of_processes(limits: &Limits) -> Setting {
    Setting::new(PIDS, "pids.max", limits.pids.unwrap_or(MOST_PROCESSES))
}

impl Setting {
    fn new(controller: &'static str, file: &'static str, value: impl ToString) -> Self {
        Self { controller, file, value: value.to_string(), optional: false }
    }
}

impl Groups {
    /// Whether everything that was asked for is limited.
    pub(super) fn require(&self, limits: &Limits) -> Result<(), Failure> {
        // Nobody has asked for the limit that counts where none is said.
        let unasked = |controller| controller == PIDS && limits.pids.is_none();
        match self.problems.iter().find(|(controller, _)| !unasked(*controller)) {
            Some((controller, error)) => Err(Failure::Unlimited(format!("{controller}: {error}"))),
            None => Ok(()),
        }
    }

    /// Whether memory is limited.
    pub(super) fn limits_memory(&self) -> bool {
        self.holds(MEMORY)
    }

    /// Whether CPU time is limited.
    pub(super) fn limits_cpu(&self) -> bool {
        self.holds(CPU)
    }

    /// Whether the number of processes is limited.
    pub(super) fn limits_processes(&self) -> bool {
        self.holds(PIDS)
    }

    /// What cannot be limited, and why not.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|(controller, error)| format!("{controller} cannot be limited: {error}"))
    }

    /// Whether the kernel has killed a process because the step had no memory left.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let text = self.kills.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }

    fn holds(&self, controller: &str) -> bool {
        !self.problems.iter().any(|(problem, _)| *problem == controller)
    }

    fn hold(&mut self, folder: &Path, file: &str, value: &str) -> io::Result<()> {
        if !self.folders.iter().any(|known| known == folder) {
            // The limits of an earlier step, which was killed, would count as well.
            let _ = fs::remove_dir(folder);
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

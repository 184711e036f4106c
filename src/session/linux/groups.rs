//! Control groups of builds and their steps: what is written where, for both versions.
//!
//! The steps of a build share a group when the build has limits, and each has its own below. That of the build is made
//! with the first of them and goes with the last: whoever removes a group of a step tries to remove that of its build
//! too, which the kernel refuses while another step is below. So nobody has to count.
//!
//! Sources: Linux, `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/` (`memory.rst`, `pids.rst`), and
//! `Documentation/scheduler/sched-bwc.rst`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use polyarch_actors::BuildId;

use crate::{
    guard::group,
    oci::digest_of,
    session::step::{Limits, SharedLimits},
};

/// What a setting of a group needs.
pub(super) const PIDS: &str = "pids";
pub(super) const MEMORY: &str = "memory";
pub(super) const CPU: &str = "cpu";
/// How often a group of a build is made again that goes away meanwhile.
const TRIES: usize = 100;

/// Where control groups are.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchies {
    top: PathBuf,
    unified: bool,
}

/// A value for a file of a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Whether the limit counts without it.
    pub(super) optional: bool,
}

/// The groups below that of a build.
#[derive(Debug, Default)]
pub(crate) struct Below {
    /// Where they are, from where each hierarchy is mounted.
    path: String,
    /// Each is the only one of its name below a group of the build.
    pub(super) folders: Vec<PathBuf>,
    /// Where a process enters them.
    pub(super) doors: Vec<File>,
    /// What the build is not held to: a controller, and why not.
    pub(crate) problems: Vec<(&'static str, io::Error)>,
}

impl Hierarchies {
    /// Those of this machine.
    pub(crate) fn of_host() -> Self {
        Self { top: group::top(), unified: group::is_unified() }
    }

    /// Whether one hierarchy limits everything.
    pub(super) fn are_unified(&self) -> bool {
        self.unified
    }

    /// The top of the hierarchy of a controller.
    pub(super) fn of(&self, controller: &str) -> PathBuf {
        if self.unified { self.top.clone() } else { self.top.join(controller) }
    }

    /// Has groups at the top be limited, where they were not until now.
    pub(super) fn hand_down(&self) {
        if self.unified {
            hand_down(&self.top);
        }
    }

    /// Makes groups with this name below those of a build, which hold it to its limits.
    pub(crate) fn below(&self, shared: &SharedLimits, name: &str) -> Below {
        let of_build = name_of(&shared.build);
        let top = self.top.strip_prefix(group::TOP).unwrap_or(Path::new(""));
        let path = top.join(&of_build).join(name).display().to_string();
        let mut below = Below { path, folders: Vec::new(), doors: Vec::new(), problems: Vec::new() };
        for setting in settings(self.unified, &shared.limits) {
            let top = self.of(setting.controller);
            let folder = top.join(&of_build).join(name);
            let made = if below.folders.contains(&folder) {
                Ok(())
            } else {
                self.make(&top, &of_build, &folder).and_then(|()| below.open(folder))
            };
            // The group stays for as long as there is one below it, so what is written now counts.
            let held = made.and_then(|()| setting.write(&top.join(&of_build)));
            below.problems.extend(held.err().map(|error| (setting.controller, error)));
        }
        below
    }

    fn make(&self, top: &Path, of_build: &str, folder: &Path) -> io::Result<()> {
        let parent = top.join(of_build);
        for _ in 0..TRIES {
            existing(fs::create_dir(&parent))?;
            self.hand_down();
            if self.unified {
                hand_down(&parent);
            } else {
                count_below(&parent)?;
            }
            // The limits of an earlier step, which was killed, would count as well.
            let _ = fs::remove_dir(folder);
            match existing(fs::create_dir(folder)) {
                // What was the last step of the build has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                made => {
                    return made.inspect_err(|_| {
                        let _ = fs::remove_dir(&parent);
                    });
                }
            }
        }
        Err(io::Error::other("the group of the build goes away again and again"))
    }
}

impl Below {
    /// Where the groups are, from where each hierarchy is mounted.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    fn open(&mut self, folder: PathBuf) -> io::Result<()> {
        let door = File::options().write(true).open(folder.join("cgroup.procs"));
        self.doors.push(door.inspect_err(|_| remove(&folder))?);
        self.folders.push(folder);
        Ok(())
    }

    /// The one in the hierarchy whose top this is.
    pub(super) fn folder(&self, top: &Path) -> Option<PathBuf> {
        self.folders.iter().find(|folder| folder.starts_with(top)).cloned()
    }

    /// Whether the build is held to its limit by this controller.
    pub(super) fn holds(&self, controller: &str) -> bool {
        !self.problems.iter().any(|(problem, _)| *problem == controller)
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        for folder in &self.folders {
            remove(folder);
        }
    }
}

impl Setting {
    fn new(controller: &'static str, file: &'static str, value: impl ToString) -> Self {
        Self { controller, file, value: value.to_string(), optional: false }
    }

    /// Writes the value into a group.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        match fs::write(folder.join(self.file), &self.value) {
            // Not every kernel counts what is swapped out.
            Err(_) if self.optional => Ok(()),
            written => written,
        }
    }
}

/// The name of the groups of a build.
fn name_of(build: &BuildId) -> String {
    format!("{}{}", group::OF_BUILDS, digest_of(build.as_str().as_bytes()).short())
}

/// Removes a group of a step, and that of its build if no other step is below.
pub(super) fn remove(folder: &Path) {
    // The guard removes what stays.
    let _ = fs::remove_dir(folder);
    let _ = folder.parent().map(fs::remove_dir);
}

/// What limits are in a group. Of memory, as much again may be swapped out, as Docker has it.
pub(super) fn settings(unified: bool, limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(bytes) = limits.memory {
        // The second one of version 1 counts what is in memory as well.
        let both = bytes.saturating_mul(2).min(i64::MAX.unsigned_abs());
        let (memory, swap, swapped) = if unified {
            ("memory.max", "memory.swap.max", bytes)
        } else {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", both)
        };
        settings.push(Setting::new(MEMORY, memory, bytes));
        settings.push(Setting { optional: true, ..Setting::new(MEMORY, swap, swapped) });
    }
    settings.extend(limits.pids.map(|most| Setting::new(PIDS, "pids.max", most)));
    if let Some(cpu) = limits.cpu_quota() {
        if unified {
            settings.push(Setting::new(CPU, "cpu.max", format!("{} {}", cpu.quota, cpu.period)));
        } else {
            settings.push(Setting::new(CPU, "cpu.cfs_period_us", cpu.period));
            settings.push(Setting::new(CPU, "cpu.cfs_quota_us", cpu.quota));
        }
    }
    settings
}

/// Has the groups below this one be limited, as far as they may. What fails here is missed when limits are written.
fn hand_down(folder: &Path) {
    for controller in [MEMORY, CPU, PIDS] {
        let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Has the memory of groups below this one count for it, which kernels before 5.11 do not do by themselves.
fn count_below(folder: &Path) -> io::Result<()> {
    let file = folder.join("memory.use_hierarchy");
    match fs::read_to_string(&file) {
        Ok(text) if text.trim() == "0" => fs::write(file, "1"),
        _ => Ok(()),
    }
}

/// What is there need not be made.
fn existing(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;

//! What a step may use up, by control groups: what it is given itself, and what it shares with its build.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{
    guard::group,
    session::{
        error::Failure,
        linux::{
            exhausted::{Counts, Exhausted, exhausted},
            groups::{Below, CPU, Hierarchies, MEMORY, PIDS, settings},
            slot::limited,
        },
        step::{Limits, SharedLimits},
    },
};

/// As many processes and threads as a step may have at once that no other number is said for, where control groups allow
/// it: a fork bomb meets its end before the machine does. podman gives 2048 to a container; builds start more than most
/// services do.
const MOST_PROCESSES: u64 = 8192;

/// The groups of one step. Dropping it removes them.
#[derive(Debug)]
pub(super) struct Groups {
    folders: Vec<PathBuf>,
    /// Where a process enters them.
    pub(super) doors: Vec<File>,
    /// What cannot be limited here: a controller, and why not.
    problems: Vec<(&'static str, io::Error)>,
    /// What the step is given itself.
    limits: Limits,
    /// What is below the groups of its build.
    below: Below,
    shared: Option<SharedLimits>,
    /// The group that counts its memory.
    memory: Option<PathBuf>,
    unified: bool,
}

/// Holds a step to its limits and its build to those that it has, as far as this user may. `name` is the group of this
/// helper.
pub(super) fn hold(name: &str, limits: &Limits, shared: Option<&SharedLimits>) -> Groups {
    let hierarchies = Hierarchies::of_host();
    let mut groups = Groups {
        limits: *limits,
        shared: shared.cloned(),
        unified: hierarchies.are_unified(),
        folders: Vec::new(),
        doors: Vec::new(),
        problems: Vec::new(),
        below: Below::default(),
        memory: None,
    };
    let pids = group::folder(name).join("pids.max");
    if *limits == Limits::default()
        && shared.is_none()
        && group::is_entered(name)
        && fs::write(pids, MOST_PROCESSES.to_string()).is_ok()
    {
        // The few of this helper count as well. That is nothing compared with entering another group.
        return groups;
    }
    let name = &limited(name);
    groups.below = shared.map(|shared| hierarchies.below(shared, name)).unwrap_or_default();
    // The step counts for its build, whether it has limits of its own or not.
    groups.doors.append(&mut groups.below.doors);
    if shared.is_some_and(|shared| shared.limits.memory.is_some()) && groups.below.holds(MEMORY) {
        groups.memory = groups.below.folder(&hierarchies.of(MEMORY));
    }
    hierarchies.hand_down();
    let own = groups.own();
    for setting in settings(groups.unified, &own) {
        let controller = setting.controller;
        let top = hierarchies.of(controller);
        // Below that of its build, where it has one there.
        let folder = groups.below.folder(&top).unwrap_or_else(|| top.join(name));
        let held = groups.make(&folder).and_then(|()| setting.write(&folder));
        match held {
            Err(error) => groups.problems.push((controller, error)),
            Ok(()) if controller == MEMORY => groups.memory = Some(folder),
            Ok(()) => {}
        }
    }
    groups
}

impl Groups {
    /// Whether everything that was asked for is limited.
    pub(super) fn require(&self) -> Result<(), Failure> {
        // Nobody has asked for the limits that count where none is said, or in place of those of the build.
        let asked = |controller: &str| match controller {
            PIDS => self.limits.pids.is_some(),
            MEMORY => self.limits.memory.is_some(),
            _ => self.limits.millicpus.is_some(),
        };
        let required = self.shared.as_ref().is_some_and(|shared| shared.required);
        let of_build = self.below.problems.iter().filter(|_| required);
        match self.problems.iter().filter(|(controller, _)| asked(controller)).chain(of_build).next() {
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
        let problems = self.problems.iter().chain(&self.below.problems);
        // One controller may have several settings.
        let problems: BTreeMap<_, _> = problems.map(|(controller, error)| (controller, error)).collect();
        problems.into_iter().map(|(controller, error)| format!("{controller} cannot be limited: {error}"))
    }

    /// Whose memory had run out when the kernel killed a process of the step, if it did.
    pub(super) fn exhausted(&self) -> Option<Exhausted> {
        let folder = self.memory.as_ref()?;
        let step = Counts::read(folder, self.unified);
        let is_shared = self.shared.as_ref().is_some_and(|shared| shared.limits.memory.is_some());
        let build = folder.parent().filter(|_| is_shared && self.below.holds(MEMORY));
        let build = build.map(|folder| Counts::read(folder, self.unified));
        exhausted(step, build, self.own().memory.is_some())
    }

    /// What limits the step itself.
    fn own(&self) -> Limits {
        let shared = self.shared.as_ref().map(|shared| shared.limits).unwrap_or_default();
        let mut own = self.limits;
        // Version 1 allows no group more CPU time than the one above it.
        own.millicpus = own.millicpus.map(|own| shared.millicpus.map_or(own, |shared| own.min(shared)));
        let pids = own.pids.unwrap_or(MOST_PROCESSES);
        own.pids = Some(pids);
        // Where the build cannot be held to something, at least each of its steps is.
        let least = own.within(&shared);
        Limits {
            memory: if self.below.holds(MEMORY) { own.memory } else { least.memory },
            pids: if self.below.holds(PIDS) { own.pids } else { least.pids },
            millicpus: if self.below.holds(CPU) { own.millicpus } else { least.millicpus },
        }
    }

    fn make(&mut self, folder: &Path) -> io::Result<()> {
        if self.folders.iter().chain(&self.below.folders).any(|known| known == folder) {
            return Ok(());
        }
        // The limits of an earlier step, which was killed, would count as well.
        let _ = fs::remove_dir(folder);
        fs::create_dir_all(folder)?;
        self.folders.push(folder.to_owned());
        self.open(folder)
    }

    fn open(&mut self, folder: &Path) -> io::Result<()> {
        self.doors.push(File::options().write(true).open(folder.join("cgroup.procs"))?);
        Ok(())
    }

    fn holds(&self, controller: &str) -> bool {
        let is_problem = |(problem, _): &(&'static str, io::Error)| *problem == controller;
        !self.problems.iter().chain(&self.below.problems).any(is_problem)
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

//! Finds out by trying how buildah can work here, once after each start of the machine.
//!
//! Which storage driver and which isolation work depends on the kernel, on control groups, on the container that
//! this may run in and on its rights; a small build is a better answer than guessing. The result is kept in a
//! file until the machine is started again or one of the programs changes, or for an hour if there were problems.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    command::{Storage, runtime_flags},
    layout::Layout,
    lock,
    machine::{Machine, Unusable, find_program},
    sharing::try_sharing,
    worker::Worker,
};
use crate::guard::{Guard, GuardError, Launch, Mode};

/// How long a result with problems counts. The cause may have been passing.
const DOUBTFUL: Duration = Duration::from_hours(1);
/// Limits, and a script that finds them in the control groups of its step, whatever their version. A runtime that
/// cannot set limits may say nothing of it.
const LIMITS: [&str; 3] = ["--memory=67108864", "--cpu-quota=50000", "--cpu-period=100000"];
const IS_LIMITED: &str = "cd /sys/fs/cgroup && grep -qxs 67108864 memory.max memory/memory.limit_in_bytes && \
                          grep -qs ^50000 cpu.max cpu/cpu.cfs_quota_us";
/// The most that is read of what a trial prints.
pub(super) const MOST: usize = 16 << 10;

/// How buildah works here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    /// What the result depends on.
    key: String,
    /// The storage driver and the flags that choose it.
    pub(super) driver: String,
    pub(super) driver_flags: Vec<String>,
    /// The strongest isolation that works; `None` when no RUN works.
    pub(super) isolation: Option<String>,
    /// Whether steps can be given limits of memory and CPU time.
    pub(super) limits: bool,
    /// Whether all steps of a build can be given limits that they share.
    pub(super) shares: bool,
    /// How completely builds are held.
    pub(super) mode: Mode,
    /// What did not work, and why.
    pub(super) problems: Vec<String>,
}

/// The result for this machine, from the file or by trying.
pub(super) async fn run(machine: &Machine, layout: &Layout) -> Result<Trial, Unusable> {
    let trouble = |error: io::Error| {
        let folder = layout.root().display();
        Unusable::new(format!("cannot use its folder: {error}"), format!("Make {folder} writable."))
    };
    let key = key(machine);
    let path = layout.trial();
    let known = || {
        let known = serde_json::from_slice::<Trial>(&fs::read(&path).ok()?).ok()?;
        let age = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?.elapsed().ok()?;
        (known.key == key && (known.problems.is_empty() || age < DOUBTFUL)).then_some(known)
    };
    if let Some(known) = known() {
        return Ok(known);
    }
    let _lock = lock::lock(&path.with_extension("lock")).await.map_err(trouble)?;
    if let Some(known) = known() {
        return Ok(known);
    }
    let worker = Worker::take(&layout.workers("trial"), "trial").map_err(trouble)?;
    let trial = attempt(machine, &worker, key).await?;
    let new = path.with_extension("new");
    let bytes = serde_json::to_vec_pretty(&trial).map_err(|error| trouble(error.into()))?;
    fs::write(&new, bytes).and_then(|()| fs::rename(&new, &path)).map_err(trouble)?;
    Ok(trial)
}

/// Starts a guard for a worker: in a user namespace where this is no administrator.
pub(super) async fn start_guard(
    machine: &Machine,
    worker: &Worker,
    storage: &Storage,
) -> Result<Guard, GuardError> {
    let held = worker.held().map_err(|error| GuardError::Start(error.to_string()))?;
    let mut through = Vec::new();
    if machine.rootless {
        let unshare = storage.command();
        through.push(unshare.program.into_os_string());
        through.extend(unshare.args);
        through.push("unshare".into());
    }
    let launch = Launch {
        helper: machine.helper.clone(),
        through,
        env: worker.environment(),
        held: Some(held),
        cleanup: worker.cleanup(storage),
        group: None,
    };
    Guard::start(launch).await
}

async fn attempt(machine: &Machine, worker: &Worker, key: String) -> Result<Trial, Unusable> {
    let mut problems = Vec::new();
    for (driver, driver_flags) in drivers(machine.rootless) {
        let mut trial = Trial {
            key: key.clone(),
            driver,
            driver_flags,
            isolation: None,
            limits: false,
            shares: false,
            mode: Mode::Descendants,
            problems: Vec::new(),
        };
        let storage = worker.storage(&machine.program, &trial, Vec::new());
        let tried = match start_guard(machine, worker, &storage).await {
            Ok(mut guard) => {
                trial.mode = guard.mode();
                let tried = try_storage(machine, worker, &storage, &mut guard, &mut trial).await;
                guard.end().await;
                tried
            }
            Err(error) => Err(error),
        };
        match tried {
            Ok(None) => {
                problems.append(&mut trial.problems);
                return Ok(Trial { problems, ..trial });
            }
            Ok(Some(problem)) => problems.push(format!("storage driver {}: {problem}", trial.driver)),
            Err(GuardError::Run(problem)) => problems.push(problem),
            Err(error) => {
                let advice = if machine.rootless {
                    "Make `buildah unshare true` work for this user: it needs user namespaces and ranges in \
                     /etc/subuid and /etc/subgid."
                } else {
                    "See whether the helper program can be executed."
                };
                return Err(Unusable::new(format!("cannot be held: {error}"), advice));
            }
        }
    }
    let advice = "Make `buildah info` work for this user.";
    Err(Unusable::new(format!("has no storage driver that works: {}", problems.join("; ")), advice))
}

/// Tries a driver and, if that works, the isolations. Returns why the driver does not work.
async fn try_storage(
    machine: &Machine,
    worker: &Worker,
    storage: &Storage,
    guard: &mut Guard,
    trial: &mut Trial,
) -> Result<Option<String>, GuardError> {
    // A trial that was cut off may have left another driver's folders.
    let mut wipe = crate::guard::Command::new("rm");
    wipe.arg("-rf").arg(worker.root());
    guard.output(&wipe, MOST).await?;
    let mut from = storage.command();
    from.args(["from", "--pull=never", "scratch"]);
    let (exit, _, stderr) = guard.output(&from, MOST).await?;
    if exit.code != Some(0) {
        return Ok(Some(last_line(&stderr)));
    }
    let Some(program) = find_program("true") else {
        trial.isolation = Some(isolations(machine.rootless)[0].to_owned());
        return Ok(None);
    };
    for isolation in isolations(machine.rootless) {
        let cgroup = worker.cgroup();
        let run = |words: &[&str], flags: &[&str]| {
            run_command(machine, worker, storage, isolation, &cgroup, words, flags)
        };
        let command = match run(&[&program.to_string_lossy()], &[]) {
            Ok(command) => command,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let (exit, _, stderr) = guard.output(&command, MOST).await?;
        if exit.code == Some(0) {
            trial.isolation = Some(isolation.to_owned());
            // The other isolations leave limits out.
            if let ("oci", Ok(command)) = (isolation, run(&["/bin/sh", "-c", IS_LIMITED], &LIMITS)) {
                trial.limits = guard.output(&command, MOST).await?.0.code == Some(0);
            }
            if trial.limits {
                trial.shares = try_sharing(machine, worker, storage, guard).await?;
            }
            return Ok(None);
        }
        trial.problems.push(format!("isolation {isolation}: {}", first_reason(&stderr)));
    }
    Ok(None)
}

/// A build with one RUN that needs no image: the programs are this machine's own.
pub(super) fn run_command(
    machine: &Machine,
    worker: &Worker,
    storage: &Storage,
    isolation: &str,
    cgroup: &str,
    words: &[&str],
    flags: &[&str],
) -> io::Result<crate::guard::Command> {
    let context = worker.tmp().join("trial");
    fs::create_dir_all(&context)?;
    let dockerfile = context.join("Dockerfile");
    fs::write(&dockerfile, format!("FROM scratch\nRUN {}\n", serde_json::to_string(words)?))?;
    let mut command = storage.command();
    command.mask.clone_from(&machine.mask);
    command.args([
        "build",
        "--no-cache",
        "--force-rm",
        "--pull=never",
        "--network=host",
        "--isolation",
        isolation,
    ]);
    command.args(runtime_flags(isolation, &worker.tmp().join("runtime"), cgroup));
    command.args(flags);
    let platform = polyarch_actors::Platform::host_linux();
    command.arg("--platform").arg(platform.to_string());
    for folder in ["/usr", "/bin", "/lib", "/lib64", "/nix"] {
        if Path::new(folder).is_dir() {
            command.arg("--volume").arg(format!("{folder}:{folder}:ro"));
        }
    }
    command.arg("--file").arg(dockerfile).arg(context);
    Ok(command)
}

/// Storage drivers in the order of preference.
fn drivers(rootless: bool) -> Vec<(String, Vec<String>)> {
    let driver = |name: &str, options: &[String]| {
        let flags = [format!("--storage-driver={name}")].into_iter().chain(options.iter().cloned());
        (name.to_owned(), flags.collect())
    };
    let mut drivers = vec![driver("overlay", &[])];
    // Kernels before 5.13 do not let ordinary users mount overlays.
    if let Some(fuse) = find_program("fuse-overlayfs").filter(|_| rootless) {
        drivers.push(driver("overlay", &[format!("--storage-opt=overlay.mount_program={}", fuse.display())]));
    }
    drivers.push(driver("vfs", &[]));
    drivers
}

/// Isolations in the order of strength.
fn isolations(rootless: bool) -> [&'static str; 2] {
    if rootless { ["rootless", "chroot"] } else { ["oci", "chroot"] }
}

/// Everything that the result depends on.
fn key(machine: &Machine) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let user = nix::unistd::geteuid();
    let programs = ["crun", "runc", "fuse-overlayfs"].into_iter().filter_map(find_program);
    let programs: Vec<String> = [machine.program.clone(), PathBuf::from("/proc/self/ns/user")]
        .into_iter()
        .chain(programs)
        .map(|program| stamp(&program))
        .collect();
    format!("1 {} {} {user} {}", machine.version, boot.trim(), programs.join(" "))
}

fn stamp(program: &Path) -> String {
    let changed = fs::metadata(program).map_or(0, |metadata| metadata.ctime());
    // The metadata of a namespace is new each time it is looked at; its link is its name.
    match fs::read_link(program) {
        Ok(target) if program.starts_with("/proc") => target.display().to_string(),
        _ => format!("{}@{changed}", program.display()),
    }
}

fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.trim().lines().last().unwrap_or("it says nothing").to_owned()
}

/// The runtime's own words where there are any; buildah's last line says only that it failed.
fn first_reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let of_runtime = text.lines().find_map(|line| line.strip_prefix("error running container: "));
    of_runtime.map_or_else(|| last_line(stderr), str::to_owned)
}

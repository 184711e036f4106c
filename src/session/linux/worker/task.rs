//! The tasks of a helper process.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use polyarch_actors::{BuildId, StepNeed};

use super::{
    birth::{self, Birth},
    chain::{Snapshots, chain_id, chain_of, mirror},
    changes::Trees,
    emulate, filter, limits, memory,
    mounts::{Mounts, Preparing},
    overlay::{self, Form, MOST_LAYERS, Overlay},
    plan::{self, Base},
    records, rights, stubs, user,
    within::within,
};
use crate::{
    oci::Store,
    removal::remove_folder,
    session::{
        error::Failure,
        linux::{
            exhausted::Exhausted,
            probe,
            wire::{Done, RECORDS, Task, WireLayer, Work},
        },
        outcome::{Ended, Spent},
        step::{Limits, SharedLimits, Step},
    },
};

/// How much `/dev/shm` holds where nothing else is said, in bytes.
///
/// Source: Docker's command line reference, `--shm-size`.
const SHM_SIZE: u64 = 64 << 20;

/// Does what is asked.
pub(super) fn perform(work: &Work) -> Result<Done, Failure> {
    match &work.task {
        Task::Probe => probe(work),
        Task::Run(step) => run(work, step),
        Task::Remove(folders) => remove(work, folders),
    }
}

/// What a user can do who cannot have limits.
const LIMITS_OF_USERS: &str = "Where limits are wanted, run polyarch as root or, with systemd and control groups of version 2, \
                               in a scope of your own: systemd-run --user --scope polyarch …";

/// Finds out whether overlays can be mounted and written.
fn probe(work: &Work) -> Result<Done, Failure> {
    let mut done = Done {
        ended: Ended::Code(0),
        layer: None,
        snapshots: probe::Snapshots::Overlay,
        problems: Vec::new(),
        gives: BTreeSet::new(),
        spent: Spent::default(),
    };
    let lower = work.scratch.join("lower");
    make(&lower.join("directory"))?;
    let try_out = || -> Result<(), Failure> {
        let form = Form { userns: work.userns, copy: false };
        let overlay = Overlay::mount(&work.scratch, "probe", &[lower], true, form)?;
        fs::remove_dir(overlay.root().join("directory")).map_err(Failure::system("write in an overlay"))
    };
    if let Err(failure) = try_out() {
        done.snapshots = probe::Snapshots::Copy;
        done.problems.push(format!(
            "Root file systems are copied for each step, which is slow: {failure}. Put the store on ext4, xfs or btrfs."
        ));
    }
    let limits = Limits { memory: Some(1 << 30), pids: Some(1000), millicpus: Some(1000) };
    let groups = limits::hold(&work.cgroup, &limits, None);
    done.gives.extend(groups.limits_memory().then_some(StepNeed::MemoryLimit));
    done.gives.extend(groups.limits_cpu().then_some(StepNeed::CpuLimit));
    done.gives.extend(groups.limits_processes().then_some(StepNeed::ProcessLimit));
    done.problems.extend(groups.problems().map(|problem| format!("Steps are not limited: {problem}.")));
    let are_limited = groups.problems().next().is_none();
    drop(groups);
    let shared = SharedLimits { build: BuildId::generate(), limits, required: false };
    let groups = limits::hold(&work.cgroup, &Limits::default(), Some(&shared));
    done.gives.extend(groups.limits_memory().then_some(StepNeed::SharedMemory));
    done.gives.extend(groups.limits_cpu().then_some(StepNeed::SharedCpu));
    done.gives.extend(groups.limits_processes().then_some(StepNeed::SharedProcesses));
    if are_limited {
        let problems = groups.problems().map(|problem| format!("Builds are not limited: {problem}."));
        done.problems.extend(problems);
    }
    if work.userns && !(are_limited && groups.problems().next().is_none()) {
        done.problems.push(LIMITS_OF_USERS.into());
    }
    Ok(done)
}

fn remove(work: &Work, folders: &[PathBuf]) -> Result<Done, Failure> {
    for folder in folders {
        match remove_folder(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::system(format!("remove {}", folder.display()))(error));
            }
            _ => {}
        }
    }
    Ok(done(work, Ended::Code(0)))
}

/// An answer that says only how something ended.
fn done(work: &Work, ended: Ended) -> Done {
    let (snapshots, problems, gives) = (work.snapshots, Vec::new(), BTreeSet::new());
    Done { ended, layer: None, snapshots, problems, gives, spent: Spent::default() }
}

fn run(work: &Work, step: &Step) -> Result<Done, Failure> {
    let begun = Instant::now();
    let scratch = work.scratch.as_path();
    let blobs = scratch.join("blobs");
    make(&blobs)?;
    let store = Store::opened(work.store.clone(), blobs, work.uses.clone());
    let store = store.map_err(|error| Failure::Write(describe(&error)))?;
    let form = Form { userns: work.userns, copy: work.snapshots == probe::Snapshots::Copy };
    if let Some(emulator) = &step.emulator {
        emulate::register(&memory::folder(scratch), emulator)?;
    }
    let mut snapshots = Snapshots::new(&store, &work.folder, scratch, form, work.limits)?;
    let chain = snapshots.chain(&step.layers)?;
    if chain.len() > MOST_LAYERS && !form.copy {
        return Err(Failure::System {
            action: format!("mount {} layers", chain.len()),
            reason: format!("{MOST_LAYERS} are the most"),
            full: false,
        });
    }
    let lower: Vec<PathBuf> = chain.iter().map(|snapshot| snapshot.path.clone()).collect();
    let memory = memory::folder(scratch);
    let upper = overlay::upper(scratch, "step");
    let empty = memory.join("empty");
    make(&empty)?;
    let below = lower.last().unwrap_or(&empty);
    mirror(below, &upper)?;
    let mut layers = lower.clone();
    if layers.is_empty() {
        layers.push(empty.clone());
    }
    let overlay = Overlay::mount(scratch, "step", &layers, true, form)?;
    let made = memory.join("made");
    let mut preparing = Preparing { snapshots: &mut snapshots, folder: &work.folder, scratch, form };
    let mut mounts = preparing.all(step)?;
    mounts.planned.extend(plan::network_files(step, &memory)?);
    // What is mounted on a directory must not hide what is mounted below.
    mounts.planned.sort_by_key(|planned| planned.target.components().count());
    let (preparing, prepared) = (begun.elapsed(), Instant::now());
    let ended = start(work, step, overlay.root(), &made, &mut mounts)?;
    let ran = Instant::now();
    if ended != Ended::Code(0) && is_full(scratch) {
        // Whatever the command says then, this is what a person has to know.
        return Err(Failure::system::<io::Error>("run the command")(io::ErrorKind::StorageFull.into()));
    }
    let mut done = done(work, ended);
    done.spent = Spent { preparing, running: ran.duration_since(prepared), writing: Duration::ZERO };
    if ended == Ended::Code(0) {
        let made = fs::read(&made).map_err(Failure::system("see which places were made"))?;
        within(overlay.root(), || stubs::remove(&made))
            .and_then(|removed| removed)
            .map_err(Failure::system("remove the places of mounts"))?;
        drop(overlay);
        let changed = is_changed(&upper)?;
        if changed {
            done.layer = keep(work, step, &store, &snapshots, form, &lower, &upper)?;
        }
        done.spent.writing = ran.elapsed();
    }
    Ok(done)
}

/// Runs the command in a mounted root file system.
fn start(work: &Work, step: &Step, root: &Path, made: &Path, mounts: &mut Mounts) -> Result<Ended, Failure> {
    let scratch = work.scratch.as_path();
    let user = user::find(root, &step.user)?;
    rights::check_limits(&step.ulimits, work.userns)?;
    let mut groups = limits::hold(&work.cgroup, &step.limits, step.shared.as_ref());
    groups.require()?;
    let file = |path: &Path| {
        let file = File::options().create(true).truncate(true).read(true).write(true).open(path);
        file.map_err(Failure::system(format!("make {}", path.display())))
    };
    let mut environment = step.environment();
    for (name, value) in mounts.environment.drain(..) {
        // What is said twice counts as the Dockerfile says it.
        environment.entry(name).or_insert(value);
    }
    environment.entry("HOME".into()).or_insert_with(|| OsString::from(&user.home));
    let birth = Birth {
        root: root.to_owned(),
        base: Base::prepare(step.insecure, work.userns)?,
        mounts: std::mem::take(&mut mounts.planned),
        user,
        workdir: step.workdir.clone(),
        hostname: plan::hostname(step),
        network: step.network,
        insecure: step.insecure,
        ulimits: step.ulimits.clone(),
        shm_size: step.shm_size.unwrap_or(SHM_SIZE),
        groups: std::mem::take(&mut groups.doors),
        made: file(made)?,
        failure: file(&memory::folder(scratch).join("failure"))?,
        filter: if step.insecure { Vec::new() } else { filter::program() },
    };
    let ended = birth::run(birth, step, environment)?;
    Ok(match ended.code() {
        Some(code) if code != 0 => match groups.exhausted() {
            Some(Exhausted::Step) => Ended::OutOfMemory(code),
            Some(Exhausted::Build) => Ended::BuildOutOfMemory(code),
            None => ended,
        },
        _ => ended,
    })
}

/// Writes what the upper directory holds as a layer, and keeps the directory as its snapshot.
fn keep(
    work: &Work,
    step: &Step,
    store: &Store,
    snapshots: &Snapshots<'_>,
    form: Form,
    lower: &[PathBuf],
    upper: &Path,
) -> Result<Option<WireLayer>, Failure> {
    let partial = !form.copy;
    let written = match lower {
        [] | [_] => {
            let empty = memory::folder(&work.scratch).join("empty");
            let before = lower.first().unwrap_or(&empty);
            records::write(store, &Trees { now: upper, before, partial }, step.latest_mtime)
        }
        lower => {
            let before = Overlay::mount(&work.scratch, "before", lower, false, form)?;
            records::write(store, &Trees { now: upper, before: before.root(), partial }, step.latest_mtime)
        }
    };
    let Some((layer, records)) = written.map_err(|error| Failure::Write(describe(&error)))? else {
        return Ok(None);
    };
    let bytes = postcard::to_stdvec(&records).map_err(|error| Failure::Write(error.to_string()))?;
    fs::write(work.scratch.join(RECORDS), bytes)
        .map_err(Failure::system("write the records of the layer"))?;
    let chain = chain_id(chain_of(&step.layers).as_ref(), &layer.diff_id);
    let kept = work.scratch.join("kept");
    make(&kept)?;
    fs::rename(upper, kept.join("fs")).map_err(Failure::system("keep a snapshot"))?;
    snapshots.adopt(&chain, &kept)?;
    Ok(Some(WireLayer {
        digest: layer.digest,
        size: layer.size,
        diff_id: layer.diff_id,
        uncompressed_size: layer.uncompressed_size,
    }))
}

/// Whether nothing of any length can be written any more.
fn is_full(folder: &Path) -> bool {
    let least = 64 << 10;
    rustix::fs::statvfs(folder).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) < least)
}

/// Whether an upper directory holds anything.
fn is_changed(upper: &Path) -> Result<bool, Failure> {
    let mut entries = fs::read_dir(upper).map_err(Failure::system("look at what the step left"))?;
    Ok(entries.next().is_some())
}

fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(Failure::system(format!("make {}", folder.display())))
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.extend([": ", &inner.to_string()]);
        source = inner.source();
    }
    text
}

//! The layers of images as Windows has them: each once on the disk, for all builds of all processes.
//!
//! A layer stands in a folder named by its chain, since what it is made of depends on those below. Beside it are a lock
//! and, when it is complete, a mark. What has no mark is destroyed and done again. Whoever imports or removes a layer
//! has its lock alone; steps share it while they run, so nobody removes what they use.

use std::{
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::Duration,
};

use polyarch_actors::Digest;

use super::{
    api::LayerBelow, failure::HcsFailure, form, journal::Made, machine::Machine, mark, stop::Stop, undo,
};
use crate::{held::Lock, oci::digest_of, session::StepLayer};

/// How often is looked whether another has imported a layer.
const LOOK: Duration = Duration::from_millis(50);

/// The layers of a chain on the disk, which stay there as long as this does.
#[derive(Debug)]
pub(super) struct Held {
    /// Topmost first.
    pub(super) layers: Vec<LayerBelow>,
    /// Shared with other steps.
    locks: Vec<LayerLock>,
}

/// Holds the layers of a chain. Those that are not there are imported. It blocks.
pub(super) fn ensure(machine: &Machine, layers: &[StepLayer], stop: &Stop) -> Result<Held, HcsFailure> {
    let folder = machine.layers();
    fs::create_dir_all(&folder).map_err(HcsFailure::io(format!("make the folder {}", folder.display())))?;
    let mut held = Held { layers: Vec::new(), locks: Vec::new() };
    let mut chain: Option<Digest> = None;
    for layer in layers {
        let id = match &chain {
            None => layer.diff_id.clone(),
            Some(chain) => digest_of(format!("{chain} {}", layer.diff_id).as_bytes()),
        };
        let path = folder.join(id.hex());
        held.locks.push(hold(machine, layer, &path, &held.layers, stop)?);
        held.layers.insert(0, LayerBelow { id: machine.api.layer_id(id.hex())?, path });
        chain = Some(id);
    }
    Ok(held)
}

/// Holds one layer, which was used now.
fn hold(
    machine: &Machine,
    layer: &StepLayer,
    path: &Path,
    below: &[LayerBelow],
    stop: &Stop,
) -> Result<LayerLock, HcsFailure> {
    loop {
        stop.check()?;
        let shared = LayerLock::share(path)?.filter(|_| is_complete(path));
        if let Some(lock) = shared {
            let using = || HcsFailure::io(format!("write {}", mark::path(path).display()));
            mark::touch(path).map_err(using())?;
            return Ok(lock);
        }
        match LayerLock::attempt(path)? {
            None => thread::sleep(LOOK),
            // Another may have been quicker.
            Some(lock) if is_complete(path) => drop(lock),
            Some(lock) => import(machine, layer, path, below, stop, lock)?,
        }
    }
}

/// Whether a layer is whole.
pub(super) fn is_complete(layer: &Path) -> bool {
    mark::read(layer).is_some()
}

fn import(
    machine: &Machine,
    layer: &StepLayer,
    path: &Path,
    below: &[LayerBelow],
    stop: &Stop,
    lock: LayerLock,
) -> Result<(), HcsFailure> {
    stop.check()?;
    let api = &*machine.api;
    undo::destroy(api, path, machine.options.pause)?;
    let noted = machine.note(Made::Layer { path: path.to_owned() })?;
    let done = (|| {
        if below.is_empty() {
            let base = form::unpack_base(machine, layer, path, stop)?;
            form::finish(machine, &base, path, below)?;
            stop.check()?;
            api.process_base(path)?;
            if base.has_utility_vm {
                api.process_utility_vm(&path.join("UtilityVM"))?;
            }
            return Ok(());
        }
        let staging = machine.folder()?;
        let unpacked = form::unpack_difference(machine, layer, path, staging.path(), below, stop)?;
        stop.check()?;
        api.import_layer(path, staging.path(), below)?;
        form::finish(machine, &unpacked, path, below)?;
        if unpacked.has_utility_vm {
            api.process_utility_vm(&path.join("UtilityVM"))?;
        }
        staging.end()
    })();
    match done {
        Ok(()) => {
            mark::write(path, below)
                .map_err(HcsFailure::io(format!("write {}", mark::path(path).display())))?;
            noted.keep()
        }
        Err(error) => {
            // Whoever gets the lock next begins anew, and so does what the note is for.
            drop(lock);
            if let Err(error) = noted.end() {
                tracing::warn!(path = %path.display(), %error, "half a layer cannot be removed");
            }
            Err(error)
        }
    }
}

/// The right to a layer, alone or with others, which goes with the process that holds it.
#[derive(Debug)]
pub(super) struct LayerLock {
    _lock: Lock,
}

impl LayerLock {
    /// The right to make or remove it, if nobody holds it.
    pub(super) fn attempt(layer: &Path) -> Result<Option<Self>, HcsFailure> {
        Self::with(layer, Lock::attempt)
    }

    /// The right to use it, if nobody makes or removes it.
    fn share(layer: &Path) -> Result<Option<Self>, HcsFailure> {
        Self::with(layer, Lock::share)
    }

    fn with(
        layer: &Path,
        lock: impl FnOnce(File) -> io::Result<Option<Lock>>,
    ) -> Result<Option<Self>, HcsFailure> {
        let path = layer.with_extension("lock");
        let locking = || HcsFailure::io(format!("lock {}", path.display()));
        let file = File::options().create(true).read(true).append(true).open(&path).map_err(locking())?;
        Ok(lock(file).map_err(locking())?.map(|lock| Self { _lock: lock }))
    }
}

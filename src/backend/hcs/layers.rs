//! The layers of images as Windows has them: each once on the disk, for all builds of all processes.
//!
//! A layer stands in a folder named by its chain, since what it is made of depends on those below. Beside it are the
//! lock of whoever imports it and, when it is complete, a mark. What has no mark is destroyed and done again.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use polyarch_actors::Digest;

use super::{api::LayerBelow, failure::HcsFailure, form, journal::Made, machine::Machine, stop::Stop, undo};
use crate::{oci::digest_of, session::StepLayer, whole_file::put_in_place};

/// How often is looked whether another has imported a layer.
const LOOK: Duration = Duration::from_millis(50);

/// The layers of a chain on the disk, topmost first. Those that are not there are imported. It blocks.
pub(super) fn ensure(
    machine: &Machine,
    layers: &[StepLayer],
    stop: &Stop,
) -> Result<Vec<LayerBelow>, HcsFailure> {
    let folder = machine.layers();
    fs::create_dir_all(&folder).map_err(HcsFailure::io(format!("make the folder {}", folder.display())))?;
    let mut below: Vec<LayerBelow> = Vec::new();
    let mut chain: Option<Digest> = None;
    for layer in layers {
        let id = match &chain {
            None => layer.diff_id.clone(),
            Some(chain) => digest_of(format!("{chain} {}", layer.diff_id).as_bytes()),
        };
        let path = folder.join(id.hex());
        if !is_complete(&path) {
            let lock = LayerLock::wait(&path, stop)?;
            // Another may have been quicker.
            if !is_complete(&path) {
                import(machine, layer, &path, &below, stop, lock)?;
            }
        }
        below.insert(0, LayerBelow { id: machine.api.layer_id(id.hex())?, path });
        chain = Some(id);
    }
    Ok(below)
}

/// Whether a layer is whole.
pub(super) fn is_complete(layer: &Path) -> bool {
    mark(layer).is_file()
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
            complete(path).map_err(HcsFailure::io(format!("write {}", mark(path).display())))?;
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

/// Says that a layer is whole, for good.
fn complete(layer: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(layer.parent().unwrap_or(Path::new(".")))?;
    file.write_all(b"polyarch layer 1\n")?;
    file.as_file().sync_all()?;
    put_in_place(file, &mark(layer))
}

fn mark(layer: &Path) -> PathBuf {
    layer.with_extension("complete")
}

/// The right to import a layer, which goes with the process that holds it.
#[derive(Debug)]
pub(super) struct LayerLock(File);

impl LayerLock {
    /// The lock, if nobody holds it.
    pub(super) fn attempt(layer: &Path) -> Result<Option<Self>, HcsFailure> {
        let path = layer.with_extension("lock");
        let locking = || HcsFailure::io(format!("lock {}", path.display()));
        // Windows locks no file that is open for nothing but appending.
        let file = File::options().create(true).read(true).append(true).open(&path).map_err(locking())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(locking()(error)),
        }
    }

    fn wait(layer: &Path, stop: &Stop) -> Result<Self, HcsFailure> {
        loop {
            stop.check()?;
            if let Some(lock) = Self::attempt(layer)? {
                return Ok(lock);
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for LayerLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

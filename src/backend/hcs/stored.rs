//! The layers of images that a store keeps for Windows, as whoever makes room in it sees them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use super::{
    api::HcsApi,
    failure::HcsFailure,
    journal::Made,
    layers::{self, LayerLock},
    machine::{self, HcsOptions, Machine},
    mark, undo,
};
use crate::{oci::Store, session::Unusable};

/// The layers of one store.
#[derive(Debug)]
pub(crate) struct StoredLayers {
    api: Arc<dyn HcsApi>,
    store: Store,
    /// What removes them. Looking at them needs nobody.
    machine: OnceLock<Result<Machine, Unusable>>,
}

/// A layer on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLayer {
    /// Its folder.
    pub(crate) path: PathBuf,
    /// When a step last used it, or a layer that rests on it; `None` where it is not whole.
    pub(crate) used: Option<SystemTime>,
}

/// What became of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayerRemoved {
    /// It is gone.
    Done,
    /// A step uses it, or somebody is making it.
    InUse,
    /// Another layer rests on it, or may do so.
    Below,
}

impl StoredLayers {
    /// Those of a store that this machine's Windows has made; `None` where there is no Windows.
    pub(crate) fn of_this_machine(store: &Store) -> Option<Self> {
        windows().map(|api| Self::new(api, store.clone()))
    }

    /// Those of a store, which `api` has made. Calls nothing yet.
    pub(crate) fn new(api: Arc<dyn HcsApi>, store: Store) -> Self {
        Self { api, store, machine: OnceLock::new() }
    }

    /// The folder in which they are, which may be absent.
    pub(crate) fn folder(&self) -> PathBuf {
        machine::layers(&machine::folder(&self.store))
    }

    /// All that are there, each before those that it rests on. None was used later than one that it rests on.
    pub(crate) fn list(&self) -> Vec<StoredLayer> {
        let mut found = marked(&self.folder());
        found.sort_by_key(|(_, below)| std::cmp::Reverse(below.as_ref().map_or(usize::MAX, Vec::len)));
        let used = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            let above = found.iter().filter(|(_, below)| rests_on(below.as_deref(), name));
            above.map(|(path, _)| mark::used(path)).fold(mark::used(path), SystemTime::max)
        };
        let stored = found.iter().map(|(path, below)| StoredLayer {
            path: path.clone(),
            used: below.as_ref().map(|_| used(path)),
        });
        stored.collect()
    }

    /// Removes one, unless somebody needs it. It blocks.
    pub(crate) fn remove(&self, layer: &Path) -> io::Result<LayerRemoved> {
        let open = || Machine::open(Arc::clone(&self.api), self.store.clone(), HcsOptions::default());
        let machine = self.machine.get_or_init(open).as_ref();
        let machine = machine.map_err(|unusable| io::Error::other(unusable.clone()))?;
        let Some(name) = layer.file_name() else { return Ok(LayerRemoved::InUse) };
        remove(machine, &machine.layers().join(name)).map_err(io::Error::other)
    }
}

fn remove(machine: &Machine, layer: &Path) -> Result<LayerRemoved, HcsFailure> {
    let Some(lock) = LayerLock::attempt(layer)? else { return Ok(LayerRemoved::InUse) };
    // Whoever makes a layer holds those below, so there are no further ones as long as this is locked.
    let name = layer.file_name().and_then(|name| name.to_str());
    let is_whole = layers::is_complete(layer);
    let rests = |(path, below): &(PathBuf, Option<Vec<String>>)| match below {
        Some(_) => rests_on(below.as_deref(), name),
        // Nothing says what half a layer rests on but that those are whole.
        None => is_whole && path != layer,
    };
    if marked(&machine.layers()).iter().any(rests) {
        return Ok(LayerRemoved::Below);
    }
    let noted = machine.note(Made::Layer { path: layer.to_owned() })?;
    // From now on nobody takes it for a whole one, and whatever ends this, the note has the rest of it removed.
    let removing = HcsFailure::io(format!("remove {}", mark::path(layer).display()));
    mark::remove(layer).map_err(removing)?;
    let destroyed = undo::destroy(&*machine.api, layer, machine.options.pause);
    drop(lock);
    destroyed?;
    noted.keep()?;
    Ok(LayerRemoved::Done)
}

/// The folders of layers, with the names of those below them where they are whole.
fn marked(folder: &Path) -> Vec<(PathBuf, Option<Vec<String>>)> {
    let folders = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.filter(|path| path.is_dir()).map(|path| (path.clone(), mark::read(&path))).collect()
}

fn rests_on(below: Option<&[String]>, name: Option<&str>) -> bool {
    below.into_iter().flatten().any(|below| Some(below.as_str()) == name)
}

#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there is none")]
fn windows() -> Option<Arc<dyn HcsApi>> {
    Some(Arc::new(super::dll::Dlls::new()))
}

#[cfg(not(windows))]
fn windows() -> Option<Arc<dyn HcsApi>> {
    None
}

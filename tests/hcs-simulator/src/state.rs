//! What there is of layers and compute systems.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::networks::Endpoint;

/// Everything that the copies of the library share.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// By their path, in the form of [`key`].
    pub(crate) layers: BTreeMap<String, Layer>,
    /// By their id.
    pub(crate) systems: BTreeMap<String, System>,
    /// Which endpoints are in each namespace, by their ids.
    #[serde(default)]
    pub(crate) namespaces: BTreeMap<String, Vec<String>>,
    /// By their ids.
    #[serde(default)]
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    /// How often each function was called.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Makes the numbers of handles and the ids of volumes.
    pub(crate) last_number: u64,
}

/// How a layer came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Base,
    Imported,
    Scratch,
}

/// A layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Layer {
    /// As the caller has named it.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// The keys of those below, topmost first.
    pub(crate) below: Vec<String>,
    /// The id of the volume of a scratch.
    pub(crate) volume: String,
    pub(crate) active: bool,
    pub(crate) prepared: bool,
}

/// A compute system.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct System {
    pub(crate) owner: String,
    /// The key of its scratch.
    pub(crate) scratch: String,
    pub(crate) volume: String,
    /// The ids of the namespace or the endpoints by which it is connected.
    pub(crate) connections: Vec<String>,
    pub(crate) started: bool,
    pub(crate) ends_with_last_handle: bool,
    /// Who has a handle of it, once for each.
    pub(crate) handles: Vec<String>,
    /// Its processes, and in whose job each is.
    pub(crate) processes: BTreeMap<u32, String>,
}

impl State {
    /// A number that was not given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Forgets whom `is_alive` does not know, and what ends with them.
    pub(crate) fn reap(&mut self, mut is_alive: impl FnMut(&str) -> bool) {
        let named: BTreeSet<String> = self
            .systems
            .values()
            .flat_map(|system| system.handles.iter().chain(system.processes.values()).cloned())
            .collect();
        let dead: BTreeSet<String> = named.into_iter().filter(|owner| !is_alive(owner)).collect();
        for system in self.systems.values_mut() {
            system.handles.retain(|owner| !dead.contains(owner));
            system.processes.retain(|_, owner| !dead.contains(owner));
        }
        self.systems.retain(|_, system| !system.ends_with_last_handle || !system.handles.is_empty());
        self.layers.retain(|_, layer| Path::new(&layer.path).is_dir());
    }

    /// The compute system that uses a scratch.
    pub(crate) fn user_of(&self, scratch: &str) -> Option<&str> {
        self.systems.iter().find(|(_, system)| system.scratch == scratch).map(|(id, _)| id.as_str())
    }

    /// The compute system that a namespace or an endpoint connects.
    pub(crate) fn connected(&self, id: &str) -> Option<&str> {
        let found = self.systems.iter().find(|(_, system)| system.connections.iter().any(|one| one == id));
        found.map(|(name, _)| name.as_str())
    }

    /// One line for each thing that must go.
    pub(crate) fn left(&self) -> String {
        let mut left = String::new();
        for (id, system) in &self.systems {
            let _ = writeln!(left, "system {id}");
            for process in system.processes.keys() {
                let _ = writeln!(left, "process {process} in {id}");
            }
        }
        for id in self.namespaces.keys() {
            let _ = writeln!(left, "namespace {id}");
        }
        for id in self.endpoints.keys() {
            let _ = writeln!(left, "endpoint {id}");
        }
        for layer in self.layers.values().filter(|layer| layer.kind == Kind::Scratch) {
            for (is, word) in [(true, "scratch"), (layer.active, "active"), (layer.prepared, "prepared")] {
                if is {
                    let _ = writeln!(left, "{word} {}", layer.path);
                }
            }
        }
        left
    }
}

/// The one form of the many that name the same folder.
pub(crate) fn key(path: &Path) -> String {
    let path = path.to_string_lossy().replace('/', r"\").to_lowercase();
    path.strip_prefix(r"\\?\").unwrap_or(&path).trim_end_matches('\\').to_owned()
}

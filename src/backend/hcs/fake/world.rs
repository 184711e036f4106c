//! What there is in this Windows, and what it is told to do wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{changes::Changes, networks::Networks, process::Running};
use crate::backend::hcs::{
    api::{HcsApi, HcsResult},
    error::HcsError,
    guid::Guid,
};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Windows. Clones are the same one.
#[derive(Clone, Debug)]
pub(in crate::backend::hcs) struct FakeWindows {
    pub(super) world: Arc<World>,
}

#[derive(Debug)]
pub(super) struct World {
    state: Mutex<State>,
    pub(super) changed: Condvar,
    /// Where the state is kept after each call.
    file: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) host: String,
    pub(super) layers: BTreeMap<PathBuf, Layer>,
    pub(super) systems: BTreeMap<String, System>,
    pub(super) networks: Networks,
    /// The calls so far, in their order.
    pub(super) calls: Vec<String>,
    faults: Vec<Fault>,
    /// When the process dies that asks.
    #[serde(skip)]
    dies: Option<Moment>,
    /// The calls that wait until they are released, and those that do now.
    #[serde(skip)]
    held: BTreeSet<String>,
    #[serde(skip)]
    waiting: BTreeSet<String>,
    #[serde(skip)]
    pub(super) preparing: bool,
    #[serde(skip)]
    pub(super) running: BTreeMap<String, Vec<Arc<Running>>>,
}

/// A point in the life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::backend::hcs) enum Moment {
    /// When it has asked for so many things, and nothing was done yet.
    Before(usize),
    /// When the last of them was done.
    After(usize),
}

#[derive(Debug, Serialize, Deserialize)]
struct Fault {
    call: String,
    code: u32,
    /// How often it still works before.
    after: usize,
    times: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) kind: LayerKind,
    /// Topmost first.
    pub(super) below: Vec<PathBuf>,
    pub(super) active: bool,
    pub(super) prepared: bool,
    /// Whether a virtual machine can begin with what is in it.
    pub(super) bootable: bool,
    /// What a diff deletes, and what was changed in a scratch.
    pub(super) changes: Changes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LayerKind {
    Base,
    Diff,
    Scratch,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct System {
    pub(super) owner: String,
    pub(super) scratch: PathBuf,
    pub(super) is_started: bool,
    /// The ids of the namespace or the endpoints by which it is connected.
    pub(super) connections: Vec<Guid>,
    /// The document, for tests.
    pub(super) document: String,
}

impl FakeWindows {
    /// A Windows of this version, with nothing in it but its networks.
    pub(in crate::backend::hcs) fn new(host: &str) -> Self {
        let state = State::new(host);
        Self { world: Arc::new(World { state: Mutex::new(state), changed: Condvar::new(), file: None }) }
    }

    /// A Windows that is kept in a file, from which it goes on.
    pub(in crate::backend::hcs) fn kept(file: &Path, host: &str) -> Self {
        let state = match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).expect("a state"),
            Err(_) => State::new(host),
        };
        let file = Some(file.to_owned());
        Self { world: Arc::new(World { state: Mutex::new(state), changed: Condvar::new(), file }) }
    }

    /// Whoever calls next dies then.
    pub(in crate::backend::hcs) fn dies(&self, moment: Option<Moment>) {
        let mut state = self.state();
        state.dies = moment;
        state.calls.clear();
    }

    /// The call fails so often from the `after`th on, counted from 0.
    pub(in crate::backend::hcs) fn fails(&self, call: &str, code: u32, after: usize, times: usize) {
        self.state().faults.push(Fault { call: call.to_owned(), code, after, times });
    }

    /// No call fails any more.
    pub(in crate::backend::hcs) fn mends(&self) {
        self.state().faults.clear();
    }

    /// The call waits until it is released.
    pub(in crate::backend::hcs) fn hold(&self, call: &str) {
        self.state().held.insert(call.to_owned());
    }

    /// Waits until the call was made.
    pub(in crate::backend::hcs) fn wait_until(&self, call: &str) {
        let _state = self.until(|state| state.calls.iter().any(|made| made == call));
    }

    /// Waits until somebody waits in the call.
    pub(in crate::backend::hcs) fn wait_for(&self, call: &str) {
        let _state = self.until(|state| state.waiting.contains(call));
    }

    /// Lets calls go on that wait.
    pub(in crate::backend::hcs) fn release(&self) {
        self.state().held.clear();
        self.world.changed.notify_all();
    }

    /// The calls so far.
    pub(in crate::backend::hcs) fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// The documents of containers that are there.
    pub(in crate::backend::hcs) fn documents(&self) -> Vec<String> {
        self.state().systems.values().map(|system| system.document.clone()).collect()
    }

    /// What is there that no build needs any more.
    pub(in crate::backend::hcs) fn left(&self) -> Vec<String> {
        let state = self.state();
        let systems = state.systems.keys().map(|id| format!("system {id}"));
        let is_left = |layer: &Layer| layer.kind == LayerKind::Scratch || layer.active || layer.prepared;
        let layers = state.layers.iter().filter(|(_, layer)| is_left(layer));
        let networks = &state.networks;
        let namespaces = networks.namespaces.keys().map(|id| format!("namespace {id}"));
        let endpoints = networks.endpoints.keys().map(|id| format!("endpoint {id}"));
        let layers = layers.map(|(path, _)| format!("layer {}", path.display()));
        systems.chain(namespaces).chain(endpoints).chain(layers).collect()
    }

    /// How many layers of images there are.
    pub(in crate::backend::hcs) fn imported(&self) -> usize {
        self.state().layers.values().filter(|layer| layer.kind != LayerKind::Scratch).count()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.world.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn until(&self, is_so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let begun = Instant::now();
        let mut state = self.state();
        while !is_so(&state) {
            assert!(begun.elapsed() < PATIENCE, "what a test waits for does not happen: {:?}", state.calls);
            let waited = self.world.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// Answers a call: after it was noted, held, made to fail, or its process died.
    pub(super) fn answer<T>(
        &self,
        call: &'static str,
        work: impl FnOnce(&mut State) -> HcsResult<T>,
    ) -> HcsResult<T> {
        let mut state = self.state();
        state.calls.push(call.to_owned());
        let number = state.calls.len();
        self.die_at(&mut state, Moment::Before(number));
        if state.held.contains(call) {
            state.waiting.insert(call.to_owned());
            drop(state);
            self.world.changed.notify_all();
            state = self.until(|state| !state.held.contains(call));
            state.waiting.remove(call);
        }
        let answered = match state.fault(call) {
            Some(code) => Err(HcsError { call, code, detail: Some("as the test wants it".into()) }),
            None => work(&mut state),
        };
        self.die_at(&mut state, Moment::After(number));
        self.keep(&state);
        drop(state);
        self.world.changed.notify_all();
        answered
    }

    pub(super) fn keep(&self, state: &State) {
        if let Some(file) = &self.world.file {
            fs::write(file, serde_json::to_vec(state).expect("json")).expect("kept");
        }
    }

    fn die_at(&self, state: &mut State, moment: Moment) {
        if state.dies == Some(moment) {
            state.dies = None;
            self.keep(state);
            // Nothing of it is cleaned up.
            std::process::exit(77);
        }
    }

    /// As the backend has it.
    pub(in crate::backend::hcs) fn api(&self) -> Arc<dyn HcsApi> {
        Arc::new(self.clone())
    }
}

impl State {
    fn new(host: &str) -> Self {
        let networks = Networks::of(&[("nat", "NAT"), ("Default Switch", "ICS")]);
        Self { host: host.to_owned(), networks, ..Self::default() }
    }

    fn fault(&mut self, call: &str) -> Option<u32> {
        let fault = self.faults.iter_mut().find(|fault| fault.call == call && fault.times > 0)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.code)
    }

    /// The container that uses a writable layer.
    pub(super) fn user_of(&self, scratch: &Path) -> Option<&String> {
        self.systems.iter().find(|(_, system)| system.scratch == scratch).map(|(id, _)| id)
    }
}

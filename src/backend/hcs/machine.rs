//! What the steps of one process share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    api::HcsApi,
    error::HcsError,
    failure::HcsFailure,
    fault,
    journal::{Journal, Made, Note},
    undo,
    version::OsVersion,
};
use crate::{archive::Limits, engine::Commands, oci::Store, session::Unusable};

/// How steps are run on Windows.
#[derive(Clone, Debug)]
pub struct HcsOptions {
    /// How much one layer may hold.
    pub limits: Limits,
    /// The network namespace (of the Host Compute Network) that steps with a network share. Somebody else has made it,
    /// with what is needed to reach anything; without one, each step is connected with the NAT network of this machine.
    pub namespace: Option<String>,
    /// How long is waited before something is tried again that was not ready; each further wait is twice as long.
    pub pause: Duration,
    /// How many commands run at once.
    pub commands: Commands,
}

impl Default for HcsOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            namespace: None,
            pause: Duration::from_millis(100),
            commands: Commands::default(),
        }
    }
}

/// This Windows.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) api: Arc<dyn HcsApi>,
    pub(super) store: Store,
    pub(super) options: HcsOptions,
    pub(super) host: OsVersion,
    pub(super) journal: Journal,
    folder: PathBuf,
}

impl Machine {
    /// Finds out whether containers can be run here, and removes what processes have left that are gone. It blocks.
    pub(super) fn open(api: Arc<dyn HcsApi>, store: Store, options: HcsOptions) -> Result<Self, Unusable> {
        let call = |error: HcsError| {
            let advice = fault::meaning(error.code).map_or("", |meaning| meaning.advice);
            let what = fault::meaning(error.code).map(|meaning| format!("{} ({error})", meaning.what));
            Unusable { reason: what.unwrap_or_else(|| error.to_string()), advice: advice.to_owned() }
        };
        api.available().map_err(call)?;
        let host = api.host_version().map_err(call)?;
        // Windows takes whole paths only, with its own separators.
        let folder = folder(&store);
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        let root = folder.join("journal");
        let journal = Journal::open(&root, store.root()).map_err(|error| Unusable {
            reason: format!("{} cannot be used: {error}", root.display()),
            advice: format!("Make {} writable.", root.display()),
        })?;
        let machine = Self { api, store, options, host, journal, folder };
        // What is left takes space and memory, and does no other harm.
        if let Err(error) = machine.sweep() {
            tracing::warn!(%error, "not all that killed builds have left could be removed");
        }
        Ok(machine)
    }

    fn sweep(&self) -> Result<(), HcsFailure> {
        undo::sweep(&*self.api, &self.journal, &self.folder.join("journal"), self.options.pause)
    }

    /// Tries again what this process could not undo. No step is running.
    pub(super) fn close(&self) {
        let own = self.journal.own().unwrap_or_default();
        for (made, note) in own {
            let undone = undo::undo(&*self.api, &made, self.options.pause);
            if let Err(error) = undone.and_then(|()| note.remove().map_err(HcsFailure::io("remove a note"))) {
                tracing::warn!(?made, %error, "what a step left cannot be removed");
            }
        }
    }

    /// The folder of the layers.
    pub(super) fn layers(&self) -> PathBuf {
        layers(&self.folder)
    }

    /// A path for something that only this process uses, in a folder that is there.
    pub(super) fn place(&self, kind: &str) -> Result<PathBuf, HcsFailure> {
        let folder = self.folder.join(kind);
        std::fs::create_dir_all(&folder)
            .map_err(HcsFailure::io(format!("make the folder {}", folder.display())))?;
        Ok(folder.join(self.journal.unique()))
    }

    /// Notes what is about to be made.
    pub(super) fn note(&self, made: Made) -> Result<Noted<'_>, HcsFailure> {
        let note = self.journal.note(&made).map_err(HcsFailure::io("write the journal"))?;
        Ok(Noted { machine: self, made, note: Some(note) })
    }

    /// A folder of ordinary files that goes with what this returns. It is not made.
    pub(super) fn folder(&self) -> Result<Noted<'_>, HcsFailure> {
        self.note(Made::Folder { path: self.place("tmp")? })
    }
}

/// Where everything for Windows is in a store.
pub(super) fn folder(store: &Store) -> PathBuf {
    store.root().join("backends/hcs")
}

/// Where the layers are in the folder of everything for Windows.
pub(super) fn layers(folder: &Path) -> PathBuf {
    folder.join("layers")
}

/// Something that goes when this is dropped. Whoever wants to know whether it went calls [`Noted::end`].
#[derive(Debug)]
pub(super) struct Noted<'m> {
    machine: &'m Machine,
    made: Made,
    note: Option<Note>,
}

impl Noted<'_> {
    /// Where it is, if it is a folder.
    pub(super) fn path(&self) -> &Path {
        match &self.made {
            Made::System { .. } | Made::Endpoint { .. } | Made::Namespace { .. } => Path::new(""),
            Made::Scratch { path } | Made::Layer { path } | Made::Folder { path } => path,
        }
    }

    /// Undoes it.
    pub(super) fn end(mut self) -> Result<(), HcsFailure> {
        self.undo()
    }

    /// Keeps it for ever.
    pub(super) fn keep(mut self) -> Result<(), HcsFailure> {
        let note = self.note.take();
        note.map_or(Ok(()), Note::remove).map_err(HcsFailure::io("remove a note"))
    }

    fn undo(&mut self) -> Result<(), HcsFailure> {
        if self.note.is_none() {
            return Ok(());
        }
        // Where this fails, the note stays for the next process.
        undo::undo(&*self.machine.api, &self.made, self.machine.options.pause)?;
        let note = self.note.take();
        note.map_or(Ok(()), Note::remove).map_err(HcsFailure::io("remove a note"))
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            tracing::warn!(made = ?self.made, %error, "what a step made cannot be removed");
        }
    }
}

//! The writable layer of a step.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use super::{
    api::{HcsResult, LayerBelow},
    failure::HcsFailure,
    fault::code,
    journal::Made,
    machine::{Machine, Noted},
    stop::Stop,
};

/// How often a disk is attached that is not ready.
const ATTEMPTS: u32 = 5;

/// Windows takes long over layers that are prepared at the same time, and may give up.
///
/// Source: hcsshim, `internal/wclayer/preparelayer.go`.
static PREPARING: Mutex<()> = Mutex::new(());

/// A writable layer, which goes when this is dropped, whatever state it is in.
#[derive(Debug)]
pub(super) struct Scratch<'m> {
    machine: &'m Machine,
    below: &'m [LayerBelow],
    noted: Noted<'m>,
}

impl<'m> Scratch<'m> {
    /// Makes a writable layer on top of others.
    pub(super) fn make(machine: &'m Machine, below: &'m [LayerBelow]) -> Result<Self, HcsFailure> {
        let noted = machine.note(Made::Scratch { path: machine.place("scratch")? })?;
        machine.api.create_scratch(noted.path(), below)?;
        Ok(Self { machine, below, noted })
    }

    /// Its folder.
    pub(super) fn path(&self) -> &Path {
        self.noted.path()
    }

    /// Attaches its disk and lays it over the layers below. Returns its volume.
    pub(super) fn mount(&self, stop: &Stop) -> Result<String, HcsFailure> {
        let mut attempt = 0;
        loop {
            stop.check()?;
            match self.attach() {
                Ok(()) => break,
                Err(error)
                    if matches!(error.code, code::NOT_READY | code::DEVICE_NOT_CONNECTED)
                        && attempt + 1 < ATTEMPTS =>
                {
                    thread::sleep(self.machine.options.pause * 2_u32.pow(attempt));
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.machine.api.mount_path(self.path())?)
    }

    fn attach(&self) -> HcsResult<()> {
        let api = &*self.machine.api;
        api.activate_layer(self.path())?;
        let _turn = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = api.prepare_layer(self.path(), self.below);
        if prepared.is_err() {
            // It is attached once more when it is tried again.
            let _ = api.deactivate_layer(self.path());
        }
        prepared
    }

    /// Writes what it changes into a folder that is not there. `was_mounted` is whether this machine has mounted it,
    /// which it has no more afterwards.
    pub(super) fn export(&self, folder: &Path, was_mounted: bool) -> Result<(), HcsFailure> {
        if was_mounted {
            self.machine.api.unprepare_layer(self.path())?;
        } else {
            self.machine.api.activate_layer(self.path())?;
        }
        Ok(self.machine.api.export_layer(self.path(), folder, self.below)?)
    }

    /// Removes it.
    pub(super) fn end(self) -> Result<(), HcsFailure> {
        self.noted.end()
    }
}

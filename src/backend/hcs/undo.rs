//! Undoes what was made: the same way after a step, after a cancellation and after a crash.
//!
//! Whatever was made may be in any state, or gone already. So everything is tried in the one order that Windows allows,
//! and only the last call decides.

use std::{fs, io, path::Path, thread, time::Duration};

use super::{
    api::{HcsApi, HcsResult},
    error::HcsError,
    failure::HcsFailure,
    fault::code,
    guid::Guid,
    journal::{Gate, Journal, Made, OWNER},
    layers::{self, LayerLock},
    network::{Change, change},
};
use crate::removal::remove_folder;

/// How often something is tried that another program may hold for a moment.
const ATTEMPTS: u32 = 5;

/// Undoes one thing. That it is gone already is no error.
pub(super) fn undo(api: &dyn HcsApi, made: &Made, pause: Duration) -> Result<(), HcsFailure> {
    match made {
        Made::System { id } => Ok(end_system(api, id)?),
        Made::Endpoint { id, namespace } => Ok(delete_endpoint(api, *id, *namespace, pause)?),
        Made::Namespace { id } => Ok(patiently(pause, || api.delete_namespace(*id))?),
        Made::Scratch { path } => Ok(destroy(api, path, pause)?),
        Made::Layer { path } => {
            // Another process that wants it has begun it anew, or will.
            let Some(_lock) = LayerLock::attempt(path)? else { return Ok(()) };
            if layers::is_complete(path) { Ok(()) } else { Ok(destroy(api, path, pause)?) }
        }
        Made::Folder { path } => remove(api, path),
    }
}

/// Undoes what processes of this store have left that are gone. Goes on after a failure, which is returned in the end;
/// what could not be undone is tried again by the next process.
pub(super) fn sweep(
    api: &dyn HcsApi,
    journal: &Journal,
    root: &Path,
    pause: Duration,
) -> Result<(), HcsFailure> {
    let action = || HcsFailure::io(format!("look through {}", root.display()));
    let gate = Journal::gate(root).map_err(action())?;
    let mut first = None;
    for left in journal.left(&gate).map_err(action())? {
        let mut left = left;
        for (made, note) in std::mem::take(&mut left.made) {
            let undone = undo(api, &made, pause).and_then(|()| note.remove().map_err(action()));
            if let Err(error) = undone {
                tracing::warn!(?made, %error, "what a process left cannot be removed");
                first.get_or_insert(error);
            }
        }
        if first.is_none() {
            left.remove().map_err(action())?;
        }
    }
    if let Err(error) = end_unknown(api, journal, &gate) {
        first.get_or_insert(error);
    }
    first.map_or(Ok(()), Err)
}

/// Ends containers of this store that no journal knows.
fn end_unknown(api: &dyn HcsApi, journal: &Journal, gate: &Gate) -> Result<(), HcsFailure> {
    for id in api.systems(OWNER)? {
        if journal.is_left(&id, gate).map_err(HcsFailure::io("read the journals of other processes"))? {
            end_system(api, &id)?;
        }
    }
    Ok(())
}

fn end_system(api: &dyn HcsApi, id: &str) -> HcsResult<()> {
    match api.open_system(id) {
        Ok(system) => system.terminate(),
        Err(error) if is_gone(&error) || error.code == code::SYSTEM_NOT_FOUND => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes an endpoint that may be in a namespace.
fn delete_endpoint(api: &dyn HcsApi, id: Guid, namespace: Option<Guid>, pause: Duration) -> HcsResult<()> {
    patiently(pause, || {
        if let Some(namespace) = namespace
            && let Err(error) = api.modify_namespace(namespace, &change(Change::Remove, id))
        {
            tracing::debug!(%id, %error, "the endpoint is in no namespace");
        }
        api.delete_endpoint(id)
    })
}

/// Removes something of the network, that a container may hold for a moment when it has ended.
fn patiently(pause: Duration, delete: impl Fn() -> HcsResult<()>) -> HcsResult<()> {
    let mut attempt = 0;
    loop {
        match delete() {
            Err(error) if error.code == code::HAS_REFERENCES && attempt + 1 < ATTEMPTS => {
                thread::sleep(pause * 2_u32.pow(attempt));
                attempt += 1;
            }
            Err(error) if is_gone(&error) => return Ok(()),
            done => return done,
        }
    }
}

/// Removes a layer that may be active and prepared.
pub(super) fn destroy(api: &dyn HcsApi, path: &Path, pause: Duration) -> HcsResult<()> {
    if !path.exists() {
        return Ok(());
    }
    // Each fails where there is nothing to undo.
    for undone in [api.unprepare_layer(path), api.deactivate_layer(path)] {
        if let Err(error) = undone {
            tracing::debug!(path = %path.display(), %error, "nothing to undo");
        }
    }
    let mut attempt = 0;
    loop {
        match api.destroy_layer(path) {
            Err(error) if error.code == code::SHARING_VIOLATION && attempt + 1 < ATTEMPTS => {
                thread::sleep(pause * 2_u32.pow(attempt));
                attempt += 1;
                // What held it may have kept it from being deactivated as well.
                let _ = api.deactivate_layer(path);
            }
            Err(error) if is_gone(&error) => return Ok(()),
            done => return done,
        }
    }
}

/// Removes a folder of ordinary files; whatever of it only Windows can remove, Windows does.
fn remove(api: &dyn HcsApi, path: &Path) -> Result<(), HcsFailure> {
    match remove_folder(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            api.destroy_layer(path)?;
            if fs::exists(path).unwrap_or(true) { Err(HcsFailure::io(removing(path))(error)) } else { Ok(()) }
        }
        Err(error) => Err(HcsFailure::io(removing(path))(error)),
    }
}

fn removing(path: &Path) -> String {
    format!("remove {}", path.display())
}

fn is_gone(error: &HcsError) -> bool {
    matches!(
        error.code,
        code::FILE_NOT_FOUND | code::PATH_NOT_FOUND | code::ELEMENT_NOT_FOUND | code::ENDPOINT_NOT_FOUND
    )
}

//! What the names of base images meant, so that a registry needs not be asked again.

use std::{fs, io, path::PathBuf};

use polyarch_actors::{Digest, Platform};
use serde::{Deserialize, Serialize};

use super::{
    bases::{Base, Name, check, read},
    config::ImageManifest,
    error::EngineError,
};
use crate::oci::{Store, StoreError, touch};

/// Where it is remembered what names mean, in the store.
const FOLDER: &str = "backends/sandbox/bases";
/// What a name meant for a platform.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) reference: String,
    pub(super) platform: Platform,
    pub(super) manifest: Digest,
}

/// The base that the name meant before.
pub(super) fn recall(
    store: &Store,
    slot: &Digest,
    platform: &Platform,
    name: Name,
) -> Result<Option<Base>, EngineError> {
    let base = remembered(store, slot, platform, name);
    base.iter().try_for_each(|base| base.note_origins(store))?;
    Ok(base)
}

fn remembered(store: &Store, slot: &Digest, platform: &Platform, name: Name) -> Option<Base> {
    let path = path(store, slot);
    let text = fs::read(&path).ok()?;
    let remembered: Remembered = serde_json::from_slice(&text).ok()?;
    let manifest = store.read_document(&remembered.manifest).ok()?;
    let image: ImageManifest = serde_json::from_slice(&manifest).ok()?;
    check(&image).ok()?;
    let config = store.read_document(&image.config.digest).ok()?;
    touch(&path);
    read(&remembered.manifest, &image, &config, platform, Some(name)).ok()
}

pub(super) fn remember(store: &Store, slot: &Digest, remembered: &Remembered) -> Result<(), StoreError> {
    let folder = store.root().join(FOLDER);
    let io = |action, path: PathBuf| move |source: io::Error| StoreError::Io { action, path, source };
    fs::create_dir_all(&folder).map_err(io("make", folder.clone()))?;
    let text = serde_json::to_vec(remembered).unwrap_or_default();
    store.replace(FOLDER, &format!("{}.json", slot.hex()), &text)
}

fn path(store: &Store, slot: &Digest) -> PathBuf {
    store.root().join(FOLDER).join(format!("{}.json", slot.hex()))
}

//! What a file has beside its bytes, which not every file system can keep: records of a backup stream in a file of the
//! state, found by the path. What is later put in the place of a file has them too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    failure::Outcome,
    state::key,
    stream::Record,
    world::{id_of, spelled},
};

#[derive(Debug, Serialize, Deserialize)]
struct Sidecar {
    path: String,
    records: Vec<Record>,
}

/// The records that were kept for a file.
pub(crate) fn load(root: &Path, path: &Path) -> Vec<Record> {
    let kept: Option<Sidecar> =
        fs::read(place(root, path)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    kept.filter(|kept| kept.path == key(path)).map(|kept| kept.records).unwrap_or_default()
}

/// Keeps records for a file, instead of those before.
pub(crate) fn save(root: &Path, path: &Path, records: Vec<Record>) -> Outcome<()> {
    let place = place(root, path);
    if records.is_empty() {
        if place.exists() {
            fs::remove_file(place)?;
        }
        return Ok(());
    }
    let kept = Sidecar { path: key(path), records };
    fs::create_dir_all(root.join("streams"))?;
    fs::write(place, serde_json::to_vec(&kept).map_err(std::io::Error::other)?)?;
    Ok(())
}

fn place(root: &Path, path: &Path) -> PathBuf {
    root.join("streams").join(spelled(id_of(&key(path))))
}

//! What is different in one layer, and what a container sees of several.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    disk, files,
    world::{Layer, State},
};
use crate::oci::layer::windows::path::LayerPath;

/// By paths below `Files` as they were first written, folded.
pub(super) type Changes = BTreeMap<String, Change>;

/// What happened at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// A file, by its name as it was written.
    File { name: String, content: Vec<u8> },
    /// A directory.
    Directory { name: String },
    /// Nothing is there any more.
    Deleted { name: String },
    /// A change of the registry.
    Registry { name: String, content: Vec<u8> },
}

/// What a container finds at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    File(Vec<u8>),
    Directory,
}

/// What all spellings of a path have in common.
pub(super) fn folded(path: &str) -> String {
    path.to_uppercase()
}

/// A path of the image as layers have it: `C:\app\x` is `app/x`.
pub(super) fn of_image(path: &str) -> String {
    let path = path.strip_prefix("C:").or_else(|| path.strip_prefix("c:")).unwrap_or(path);
    path.replace('\\', "/").trim_matches('/').to_owned()
}

/// What a container sees whose writable layer is `scratch`.
pub(super) fn find(state: &State, scratch: &Path, path: &str) -> Option<Found> {
    let layer = state.layers.get(scratch)?;
    if let Some(decided) = in_changes(layer, path) {
        return decided;
    }
    // The topmost one holds places for what those below it have.
    on_disk(layer.below.first()?, path)
}

/// What a layer decides of a path: absent where it says nothing.
#[expect(clippy::option_option, reason = "nothing said, and said to be nothing")]
fn in_changes(layer: &Layer, path: &str) -> Option<Option<Found>> {
    match layer.changes.get(&folded(path)) {
        Some(Change::File { content, .. }) => return Some(Some(Found::File(content.clone()))),
        Some(Change::Directory { .. }) => return Some(Some(Found::Directory)),
        Some(Change::Deleted { .. }) => return Some(None),
        Some(Change::Registry { .. }) | None => {}
    }
    let above = path.rsplit_once('/')?.0;
    match layer.changes.get(&folded(above)) {
        Some(Change::Deleted { .. }) => Some(None),
        _ => match in_changes(layer, above) {
            Some(None) => Some(None),
            _ => None,
        },
    }
}

fn on_disk(layer: &Path, path: &str) -> Option<Found> {
    let mut place = layer.join("Files");
    for name in path.split('/').filter(|name| !name.is_empty()) {
        place = disk::find_name(&place, name)?;
    }
    if place.is_dir() { Some(Found::Directory) } else { files::restored(&place).map(Found::File) }
}

/// The path of a change below `Files`, for export.
pub(super) fn below_files(name: &str) -> LayerPath {
    LayerPath::parse(format!("Files/{name}").as_bytes()).expect("a path that Windows has")
}

//! Finds what is in a store. Nothing is locked for it, so what is found may change meanwhile.
//!
//! The folders are those of ARCHITECTURE.md, "On disk". Which blobs a record is about is not read by its form: every
//! digest in it counts, and one too many only keeps a blob for longer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use polyarch_actors::{Descriptor, Digest};
use serde_json::Value;

use super::{
    disk,
    entry::{Blob, Entry, Found, Kind, Removal},
};
use crate::{
    backend::hcs::{StoredLayer, StoredLayers},
    oci::{Store, StoreError, layout, media_type, origin},
};

/// How the name of a folder begins that is being removed.
pub(super) const GONE: &str = "gone-";

/// From when on a file that was never finished is garbage.
const ABANDONED: Duration = Duration::from_hours(24);

/// Everything in a store; `windows` is what is for Windows, where there is one.
pub(super) fn scan(store: &Store, windows: Option<&Arc<StoredLayers>>) -> Result<Found, StoreError> {
    let root = store.root();
    // A build that begins meanwhile adds to what is in use, so that is asked before anything is removed again.
    let mut found =
        Found { in_use: store.blobs_in_use()?, needed: store.needed_by_names()?, ..Found::default() };
    for blob in store.blobs()? {
        found.blobs.insert(blob.digest, Blob { bytes: blob.size, written: blob.written });
    }
    let mut scan = Scan { store, entries: Vec::new() };
    let sandbox = root.join("backends/sandbox");
    for folder in children(&sandbox.join("steps")) {
        scan.records(&folder, Kind::Step, false);
    }
    scan.records(&sandbox.join("bases"), Kind::Base, true);
    scan.origins(&root.join(origin::FOLDER), &found);
    scan.records(&root.join("fetched"), Kind::Download, false);
    for folder in ["indexes", "digests", "blocks"] {
        scan.files(&sandbox.join(folder), Kind::Index, &Removal::File);
    }
    scan.files(&sandbox.join("flights"), Kind::Leftover, &Removal::Lock);
    for folder in ["snapshots", "snapshots-user", "trees", "trees-user"] {
        scan.snapshots(&sandbox.join(folder));
    }
    for folder in children(&sandbox.join("caches")) {
        scan.cache(&folder);
    }
    let buildah = root.join("backends/buildah");
    scan.records(&buildah.join("layers"), Kind::Index, false);
    for folder in children(&buildah.join("exported")) {
        scan.records(&folder, Kind::Index, true);
    }
    for worker in children(&buildah.join("workers")).iter().flat_map(|folder| children(folder)) {
        scan.worker(worker);
    }
    if let Some(layers) = windows {
        scan.windows(layers);
    }
    found.entries = scan.entries;
    Ok(found)
}

struct Scan<'s> {
    store: &'s Store,
    entries: Vec<Entry>,
}

impl Scan<'_> {
    /// Small files about blobs, or about manifests and what these need.
    fn records(&mut self, folder: &Path, kind: Kind, manifests: bool) {
        for path in self.whole(folder) {
            let document: Value = fs::read(&path)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default();
            let mut blobs = BTreeSet::new();
            digests(&document, &mut blobs);
            if manifests {
                for digest in blobs.clone() {
                    blobs.extend(self.needed_by(digest));
                }
            }
            self.file(path, kind, Removal::File, blobs);
        }
    }

    /// Where blobs are that no name and no build needs.
    fn origins(&mut self, folder: &Path, found: &Found) {
        for path in self.whole(folder) {
            let blob = name(&path).and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            if !blob.is_some_and(|blob| found.needed.contains(&blob) || found.in_use.contains(&blob)) {
                self.file(path, Kind::Leftover, Removal::File, BTreeSet::new());
            }
        }
    }

    /// What an image needs whose manifest this may be.
    fn needed_by(&self, digest: Digest) -> BTreeSet<Digest> {
        let kind = media_type::MANIFEST.to_owned();
        let root = Descriptor { media_type: kind, digest, size: 0, annotations: BTreeMap::new() };
        layout::reachable(self.store, &root).unwrap_or_default()
    }

    fn files(&mut self, folder: &Path, kind: Kind, removal: &Removal) {
        for path in self.whole(folder) {
            self.file(path, kind, removal.clone(), BTreeSet::new());
        }
    }

    /// The files of a folder that have their names. Those that are still being written are left alone, unless whoever
    /// wrote them must be long gone.
    fn whole(&mut self, folder: &Path) -> Vec<PathBuf> {
        let files = children(folder).into_iter().filter(|path| path.is_file());
        let (drafts, whole): (Vec<_>, Vec<_>) =
            files.partition(|path| name(path).is_none_or(|name| name.starts_with('.')));
        for draft in drafts {
            if disk::unused_for(disk::modified(&draft), SystemTime::now()) > ABANDONED {
                self.file(draft, Kind::Leftover, Removal::File, BTreeSet::new());
            }
        }
        whole
    }

    fn file(&mut self, path: PathBuf, kind: Kind, removal: Removal, blobs: BTreeSet<Digest>) {
        let bytes = fs::metadata(&path).map_or(0, |found| found.len());
        let used = disk::modified(&path);
        self.entries.push(Entry { kind, path, bytes, used, removal, blobs });
    }

    fn snapshots(&mut self, folder: &Path) {
        for path in children(folder) {
            if path.is_dir() && !self.gone(&path) {
                let lock = path.with_extension("lock");
                let used = disk::modified(&lock).max(disk::modified(&path));
                self.folder(path, Kind::Snapshot, used, Removal::Locked { lock, lock_goes: true });
            }
        }
    }

    fn cache(&mut self, folder: &Path) {
        for path in children(folder) {
            let is_one = name(&path).is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
            if path.is_dir() && !self.gone(&path) && is_one {
                let lock = path.with_extension("lock");
                let used = disk::modified(&lock);
                self.folder(path, Kind::CacheMount, used, Removal::Locked { lock, lock_goes: false });
            }
        }
    }

    fn worker(&mut self, path: PathBuf) {
        for inner in children(&path) {
            self.gone(&inner);
        }
        if path.join("root").is_dir() {
            let used = disk::modified(&path.join("project"));
            self.folder(path, Kind::Worker, used, Removal::Worker);
        }
    }

    /// Layers of Windows, each before those that it rests on.
    fn windows(&mut self, layers: &Arc<StoredLayers>) {
        // Locks stay, and marks go with their layers.
        self.whole(&layers.folder());
        for StoredLayer { path, used } in layers.list() {
            let kind = if used.is_some() { Kind::Snapshot } else { Kind::Leftover };
            let removal = Removal::WindowsLayer(Arc::clone(layers));
            self.folder(path, kind, used.unwrap_or(SystemTime::UNIX_EPOCH), removal);
        }
    }

    /// Whether a folder is what a removal left that did not end.
    fn gone(&mut self, path: &Path) -> bool {
        let is_gone = name(path).is_some_and(|name| name.starts_with(GONE));
        if is_gone {
            self.folder(path.to_owned(), Kind::Leftover, SystemTime::UNIX_EPOCH, Removal::Folder);
        }
        is_gone
    }

    fn folder(&mut self, path: PathBuf, kind: Kind, used: SystemTime, removal: Removal) {
        let bytes = disk::size(&path);
        self.entries.push(Entry { kind, path, bytes, used, removal, blobs: BTreeSet::new() });
    }
}

/// What is in a folder; nothing where there is none.
fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

/// Every digest that a document names.
fn digests(document: &Value, found: &mut BTreeSet<Digest>) {
    match document {
        Value::String(text) => found.extend(text.parse::<Digest>().ok()),
        Value::Array(values) => values.iter().for_each(|value| digests(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| digests(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_of_a_record_counts() {
        let (one, two) = (crate::oci::digest_of(b"1"), crate::oci::digest_of(b"2"));
        let record =
            serde_json::json!({"layer": {"blob": {"digest": one, "size": 3}}, "more": [two, "text"]});
        let mut found = BTreeSet::new();
        digests(&record, &mut found);
        assert_eq!(found, [one, two].into());
    }

    #[test]
    fn an_empty_store_holds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let found = scan(&store, None).expect("scanned");
        assert!(found.entries.is_empty() && found.blobs.is_empty() && found.needed.is_empty());
    }
}

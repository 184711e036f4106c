//! The step cache on disk: what each key led to.
//!
//! A record is a small file that is renamed into place. Nothing depends on it: one that is missing, damaged or
//! about a blob that is gone only means that the step is done again.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use polyarch_actors::{BuildId, CachePolicy, Descriptor, Digest};
use serde::{Deserialize, Serialize};

use super::imports::Imports;
use crate::oci::{Store, StoreError, touch};

/// Where the records are, in the store.
const FOLDER: &str = "backends/sandbox/steps";

/// What a step led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The layer; absent where the step changed nothing.
    pub(super) layer: Option<RecordedLayer>,
    /// When it was made, as configs write it.
    pub(super) created: String,
    /// The build that made it.
    pub(super) build: BuildId,
    /// Whether it was made elsewhere.
    #[serde(skip)]
    pub(super) imported: bool,
}

/// The layer of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordedLayer {
    pub(super) blob: Descriptor,
    pub(super) diff_id: Digest,
}

/// The records of a store, as one build may use them.
#[derive(Clone, Debug)]
pub(super) struct Records {
    pub(super) store: Store,
    pub(super) policy: CachePolicy,
    pub(super) build: BuildId,
    /// What was done elsewhere.
    pub(super) imports: Arc<Imports>,
    /// What this build has found or made so far.
    notes: Arc<Mutex<BTreeMap<Digest, Record>>>,
}

impl Records {
    pub(super) fn new(store: Store, policy: CachePolicy, build: BuildId, imports: Arc<Imports>) -> Self {
        Self { store, policy, build, imports, notes: Arc::default() }
    }

    /// The same records for steps that are done again, whatever there was before.
    pub(super) fn ignored(&self) -> Self {
        Self { policy: CachePolicy::Ignore, ..self.clone() }
    }

    /// The result that `key` led to: here, or elsewhere as the build's imports say.
    pub(super) fn recall(&self, key: &Digest) -> Option<Record> {
        let imported = || match self.policy {
            CachePolicy::Use => self.imports.recall(key, &self.build),
            CachePolicy::Ignore => None,
        };
        self.own(key).or_else(imported)
    }

    /// The result that `key` led to here, if all of it is there. Who ignores earlier results still sees what its own
    /// build has made: for another platform, a moment ago.
    pub(super) fn own(&self, key: &Digest) -> Option<Record> {
        let path = self.path(key);
        let record: Record = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        if self.policy == CachePolicy::Ignore && record.build != self.build {
            return None;
        }
        if let Some(layer) = &record.layer
            && self.store.size(&layer.blob.digest).ok()? != layer.blob.size
        {
            return None;
        }
        touch(&path);
        Some(record)
    }

    /// Keeps the layer of a record that did not come from here, as long as this build goes on.
    pub(super) fn hold(&self, record: &Record) {
        if let Some(layer) = &record.layer {
            self.store.hold(&layer.blob.digest);
        }
    }

    /// Notes that the build is made of this, for a cache elsewhere.
    pub(super) fn note(&self, key: &Digest, record: &Record) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.insert(key.clone(), record.clone());
    }

    /// Everything that was noted.
    pub(super) fn notes(&self) -> BTreeMap<Digest, Record> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers what `key` led to, unless it was done elsewhere: that is for builds that import it.
    pub(super) fn remember(&self, key: &Digest, record: &Record) -> Result<(), StoreError> {
        if record.imported {
            return Ok(());
        }
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(|source| StoreError::Io {
            action: "make",
            path: folder.to_owned(),
            source,
        })?;
        let name = format!("{}/{}.json", &key.hex()[..2], key.hex());
        let text = serde_json::to_vec(record).map_err(|error| StoreError::Malformed {
            what: "a record of a step".into(),
            reason: error.to_string(),
        })?;
        self.store.replace(FOLDER, &name, &text)
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.store.root().join(FOLDER).join(&key.hex()[..2]).join(format!("{}.json", key.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest_of;

    #[test]
    fn what_was_done_elsewhere_is_not_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let records = Records::new(store, CachePolicy::Use, BuildId::generate(), Arc::default());
        let key = digest_of(b"key");
        let record =
            |imported| Record { layer: None, created: "x".into(), build: records.build.clone(), imported };
        records.remember(&key, &record(true)).expect("passed over");
        assert_eq!(records.recall(&key), None);
        records.remember(&key, &record(false)).expect("remembered");
        assert_eq!(records.recall(&key), Some(record(false)));
    }
}

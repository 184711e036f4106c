//! The step cache on disk: what each key led to.
//!
//! A record is a small file that is renamed into place. Nothing depends on it: one that is missing, damaged or
//! about a blob that is gone only means that the step is done again.

use std::{fs, path::PathBuf};

use polyarch_actors::{BuildId, CachePolicy, Descriptor, Digest};
use serde::{Deserialize, Serialize};

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
}

impl Records {
    /// The result that `key` led to, if all of it is there. Who ignores earlier results still sees what its own
    /// build has made: for another platform, a moment ago.
    pub(super) fn recall(&self, key: &Digest) -> Option<Record> {
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

    /// Remembers what `key` led to.
    pub(super) fn remember(&self, key: &Digest, record: &Record) -> Result<(), StoreError> {
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

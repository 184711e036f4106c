//! What is remembered of an address, so that what has not changed is not fetched again.
//!
//! `STORE/fetched/HASH.json` holds the ETag of the last answer and the digest of what came with it. The name is a
//! hash of the address, which may hold a password. The file itself is a blob; when it is gone, nothing is
//! remembered.

use std::fs;

use polyarch_actors::Digest;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::oci::{Store, StoreError, digest_of, touch};

/// The folder of the store.
const FOLDER: &str = "fetched";

/// What the last answer for an address was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// What the server calls this state of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// The file.
    pub(super) digest: Digest,
    /// When it was modified, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<u64>,
}

impl Remembered {
    /// What is remembered of an address, if the file is still here.
    pub(super) fn read(store: &Store, url: &Url) -> Option<Self> {
        let path = store.root().join(FOLDER).join(name(url));
        let remembered: Self = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        touch(&path);
        store.contains(&remembered.digest).then_some(remembered)
    }

    pub(super) fn write(&self, store: &Store, url: &Url) -> Result<(), StoreError> {
        let folder = store.root().join(FOLDER);
        fs::create_dir_all(&folder).map_err(|source| StoreError::Io {
            action: "make",
            path: folder,
            source,
        })?;
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        store.replace(FOLDER, &name(url), &bytes)
    }

    /// Whether the server's name for a file says that it is this one. A weak name is as good.
    pub(super) fn is_called(&self, etag: &str) -> bool {
        let strong = |etag: &str| etag.strip_prefix("W/").unwrap_or(etag).to_owned();
        self.etag.as_deref().is_some_and(|known| strong(known) == strong(etag))
    }
}

fn name(url: &Url) -> String {
    format!("{}.json", digest_of(url.as_str().as_bytes()).hex())
}

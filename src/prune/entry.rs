//! One thing in a store that can go by itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};

use polyarch_actors::Digest;
use serde::Serialize;

use crate::backend::hcs::StoredLayers;

/// What something in a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A blob that a name needs. It never goes.
    Image,
    /// A layer, manifest or config that only the cache uses, or nothing.
    Blob,
    /// What a step led to.
    Step,
    /// What is remembered so as not to be read again: of layers, of contexts, of exported images.
    Index,
    /// What the name of a base image stands for.
    Base,
    /// What an address led to.
    Download,
    /// An unpacked layer, or one that Windows has imported.
    Snapshot,
    /// What a `RUN --mount=type=cache` keeps.
    CacheMount,
    /// A storage of buildah's: its cache and its cache mounts.
    Worker,
    /// What a process left that was killed.
    Leftover,
}

impl Kind {
    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Image => "Images",
            Self::Blob => "Blobs",
            Self::Step => "Steps",
            Self::Index => "Indexes",
            Self::Base => "Base images",
            Self::Download => "Downloads",
            Self::Snapshot => "Snapshots",
            Self::CacheMount => "Cache mounts",
            Self::Worker => "buildah workers",
            Self::Leftover => "Leftovers",
        }
    }
}

/// How something is removed.
#[derive(Clone, Debug)]
pub(super) enum Removal {
    /// It is a file that whoever reads it can do without.
    File,
    /// It is a lock that nobody holds.
    Lock,
    /// It is a folder that nobody knows any more.
    Folder,
    /// It is a folder that stays while somebody holds a lock; whether the lock goes along.
    Locked { lock: PathBuf, lock_goes: bool },
    /// It is a buildah worker: its lock and its name stay.
    Worker,
    /// It is a layer whose files belong to Windows, which removes it.
    WindowsLayer(Arc<StoredLayers>),
}

/// One thing that can go by itself.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    /// In bytes, without its blobs.
    pub(super) bytes: u64,
    /// When it was last of use.
    pub(super) used: SystemTime,
    pub(super) removal: Removal,
    /// The blobs that are of use by it.
    pub(super) blobs: BTreeSet<Digest>,
}

/// A blob, without its digest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blob {
    /// In bytes.
    pub(super) bytes: u64,
    pub(super) written: SystemTime,
}

/// Everything that is in a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    pub(super) blobs: BTreeMap<Digest, Blob>,
    /// The blobs that names need.
    pub(super) needed: BTreeSet<Digest>,
    /// The blobs that builds use now.
    pub(super) in_use: HashSet<Digest>,
}

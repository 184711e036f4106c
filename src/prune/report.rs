//! What there is, and what went.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{
    decide::cache_bytes,
    disk,
    entry::{Entry, Found, Kind},
};

/// Something in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageItem {
    /// What it is.
    pub kind: Kind,
    /// A digest, or a path from the root of the store.
    pub id: String,
    /// In bytes.
    pub size: u64,
    /// Whether it could go. What a running build uses can go after that has ended.
    pub reclaimable: bool,
    /// How long it was not used, in seconds.
    #[serde(rename = "unusedForSeconds", serialize_with = "seconds")]
    pub unused_for: Duration,
}

/// What is in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageReport {
    /// All of it, the largest first.
    pub items: Vec<UsageItem>,
    /// In bytes.
    pub total: u64,
    /// How many bytes of it could go.
    pub reclaimable: u64,
}

/// What went from a store, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    /// What went.
    pub removed: Vec<UsageItem>,
    /// What should have gone and did not.
    pub kept: Vec<KeptItem>,
    /// How many bytes were reclaimed.
    pub reclaimed: u64,
    /// Whether nothing went and this is only what would.
    pub dry_run: bool,
}

/// Something that should have gone and did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptItem {
    /// What it is.
    pub kind: Kind,
    /// A digest, or a path from the root of the store.
    pub id: String,
    /// Why it is still there, as a lower-case fragment.
    pub reason: String,
    /// Whether that is because a build uses it, which is no fault.
    pub in_use: bool,
}

impl UsageReport {
    pub(super) fn new(found: &Found, root: &std::path::Path, now: SystemTime) -> Self {
        let blobs = found.blobs.iter().map(|(digest, blob)| {
            let needed = found.needed.contains(digest);
            UsageItem {
                kind: if needed { Kind::Image } else { Kind::Blob },
                id: digest.to_string(),
                size: blob.bytes,
                reclaimable: !needed && !found.in_use.contains(digest),
                unused_for: disk::unused_for(blob.written, now),
            }
        });
        let entries = found.entries.iter().map(|entry| item(entry, root, now));
        let mut items: Vec<UsageItem> = blobs.chain(entries).collect();
        items.sort_by(|one, other| {
            other.size.cmp(&one.size).then(one.kind.cmp(&other.kind)).then(one.id.cmp(&other.id))
        });
        let total = items.iter().map(|item| item.size).sum();
        let in_use = found.blobs.iter().filter(|(digest, _)| found.in_use.contains(*digest));
        let in_use = in_use.filter(|(digest, _)| !found.needed.contains(*digest));
        let reclaimable = cache_bytes(found) - in_use.map(|(_, blob)| blob.bytes).sum::<u64>();
        Self { items, total, reclaimable }
    }
}

/// An entry, as a report has it.
pub(super) fn item(entry: &Entry, root: &std::path::Path, now: SystemTime) -> UsageItem {
    let path: PathBuf = entry.path.strip_prefix(root).unwrap_or(&entry.path).to_owned();
    UsageItem {
        kind: entry.kind,
        id: path.display().to_string(),
        size: entry.bytes,
        reclaimable: true,
        unused_for: disk::unused_for(entry.used, now),
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

//! Looking at a store, and pruning it.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::SystemTime};

use super::{
    decide::{PruneOptions, decide},
    disk,
    entry::{Kind, Removal},
    remove::{Removed, remove},
    report::{KeptItem, PruneReport, UsageItem, UsageReport, item},
    scan::scan,
};
use crate::{
    backend::hcs::StoredLayers,
    error::Error,
    images::blocking,
    oci::{Store, StoreError},
};

/// What is in a store; `windows` is what is for Windows, where there is one.
pub(crate) async fn usage(store: &Store, windows: Option<StoredLayers>) -> Result<UsageReport, Error> {
    let (store, windows) = (store.clone(), windows.map(Arc::new));
    let look = move || {
        let found = scan(&store, windows.as_ref())?;
        Ok(UsageReport::new(&found, store.root(), SystemTime::now()))
    };
    blocking(look).await
}

/// Makes room in a store; `windows` is what is for Windows, where there is one.
pub(crate) async fn prune(
    store: &Store,
    windows: Option<StoredLayers>,
    options: PruneOptions,
) -> Result<PruneReport, Error> {
    let (owned, windows) = (store.clone(), windows.map(Arc::new));
    let (mut report, denied) = blocking(move || Ok(remove_all(&owned, windows.as_ref(), &options)?)).await?;
    for (item, folders) in denied {
        match remove_as_others(store, folders).await {
            Ok(()) => report.removed.push(item),
            Err(reason) => {
                report.kept.push(KeptItem { kind: item.kind, id: item.id, reason, in_use: false });
            }
        }
    }
    report.reclaimed = report.removed.iter().map(|item| item.size).sum();
    Ok(report)
}

/// What this user may not remove: items, and their folders.
type Denied = Vec<(UsageItem, Vec<PathBuf>)>;

fn remove_all(
    store: &Store,
    windows: Option<&Arc<StoredLayers>>,
    options: &PruneOptions,
) -> Result<(PruneReport, Denied), StoreError> {
    let (found, now) = (scan(store, windows)?, SystemTime::now());
    let free = disk::free(store.root()).map_err(|source| StoreError::Io {
        action: "ask for the free space of",
        path: store.root().to_owned(),
        source,
    })?;
    let decision = decide(&found, options, free, now);
    let mut report = PruneReport { dry_run: options.dry_run, ..PruneReport::default() };
    let mut denied = Vec::new();
    for entry in decision.entries.iter().map(|at| &found.entries[*at]) {
        let item = item(entry, store.root(), now);
        if options.dry_run {
            report.removed.push(item);
            continue;
        }
        let (reason, in_use) = match remove(entry) {
            Ok(Removed::Done) => {
                report.removed.push(item);
                continue;
            }
            Ok(Removed::Denied(folders)) => {
                denied.push((item, folders));
                continue;
            }
            // It is a step's lock, and the step is under way.
            Ok(Removed::InUse) if matches!(entry.removal, Removal::Lock) => continue,
            Ok(Removed::InUse) => ("a build uses it".to_owned(), true),
            Ok(Removed::Below) => ("a layer that stays rests on it".to_owned(), true),
            Err(error) => (error.to_string(), false),
        };
        report.kept.push(KeptItem { kind: item.kind, id: item.id, reason, in_use });
    }
    // The records are gone, and now what they were about.
    let swept = if options.dry_run { None } else { Some(store.remove_blobs(&decision.blobs)?) };
    let gone: Option<HashSet<_>> = swept.as_ref().map(|swept| swept.removed.iter().collect());
    for digest in &decision.blobs {
        let Some(blob) = found.blobs.get(digest) else { continue };
        if gone.as_ref().is_none_or(|gone| gone.contains(digest)) {
            report.removed.push(UsageItem {
                kind: Kind::Blob,
                id: digest.to_string(),
                size: blob.bytes,
                reclaimable: true,
                unused_for: disk::unused_for(blob.written, now),
            });
        }
    }
    for digest in swept.into_iter().flat_map(|swept| swept.kept) {
        let reason = "a build or a name uses it by now".to_owned();
        report.kept.push(KeptItem { kind: Kind::Blob, id: digest.to_string(), reason, in_use: true });
    }
    Ok((report, denied))
}

/// Removes folders some of whose files belong to the other users of this user's namespace.
#[cfg(target_os = "linux")]
async fn remove_as_others(store: &Store, folders: Vec<PathBuf>) -> Result<(), String> {
    use crate::session::{LinuxSession, Session as _, SessionOptions};
    let session = LinuxSession::new(store.clone(), SessionOptions::default());
    let removed = session.remove(folders).await.map_err(|error| error.to_string());
    session.close().await;
    removed
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_async, reason = "it is the same everywhere")]
async fn remove_as_others(_: &Store, _: Vec<PathBuf>) -> Result<(), String> {
    Err("it belongs to another user".to_owned())
}

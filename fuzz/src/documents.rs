//! Indexes and manifests, from registries and from layouts, and files of credentials.

use std::collections::BTreeSet;

use polyarch::{oci::index::Index, registry::fuzzing};

/// Reads the input as each kind of document.
pub fn check(data: &[u8]) {
    fuzzing::auth_file(data);
    for declared in [None, Some("application/vnd.oci.image.index.v1+json")] {
        let read = fuzzing::document(data, declared);
        assert_eq!(read, fuzzing::document(data, declared));
        let is_other =
            read.as_ref().is_ok_and(|document| declared.is_some_and(|kind| document.media_type != kind));
        assert!(!is_other, "a document is not what it was said to be");
    }
    let Ok(index) = serde_json::from_slice::<Index>(data) else { return };
    let written = serde_json::to_vec(&index).expect("an index can be written");
    let again: Index = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("written"), written, "writing is stable");
    let mut merged = Index::default();
    for entry in index.manifests {
        let _ = merged.add(entry);
    }
    let platforms: Vec<String> = merged
        .manifests
        .iter()
        .filter_map(|entry| entry.platform.as_ref()?.to_platform())
        .map(|platform| format!("{platform:?}"))
        .collect();
    let distinct: BTreeSet<&String> = platforms.iter().collect();
    assert_eq!(distinct.len(), platforms.len(), "two images stand for one platform");
}

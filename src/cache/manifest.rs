//! The manifest of a cache, and what other manifests say of steps.

use std::collections::BTreeSet;

use polyarch_actors::Descriptor;
use serde::Deserialize;
use serde_json::json;

use super::{
    document::{INLINE, MEDIA_TYPE, Steps},
    error::CacheError,
};
use crate::oci::{
    Store, StoreError,
    index::{Index, IndexEntry, canonical},
    media_type,
};

/// What says that a manifest is a cache.
const ARTIFACT_TYPE: &str = "application/vnd.polyarch.cache.v1+json";
/// What says that something is a cache of BuildKit.
///
/// Source: BuildKit, `cache/remotecache/v1/spec.go` (`CacheConfigMediaTypeV0`).
const BUILDKIT: &str = "application/vnd.buildkit.cacheconfig.v0";

/// What a manifest or index says of steps.
#[derive(Debug)]
pub(super) enum Found {
    /// It is a cache, and this is its document.
    Cache(Descriptor),
    /// It is an image, with the text of its document where it carries one.
    Image(Option<String>),
    /// It is an index of such.
    Index(Vec<IndexEntry>),
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// Reads a manifest or index.
pub(super) fn read(kind: &str, bytes: &[u8]) -> Result<Found, CacheError> {
    let malformed = |error: serde_json::Error| CacheError::Malformed { reason: error.to_string() };
    if media_type::is_index(kind) {
        let index: Index = serde_json::from_slice(bytes).map_err(malformed)?;
        if index.manifests.iter().any(|entry| entry.descriptor.media_type == BUILDKIT) {
            return Err(CacheError::BuildKit);
        }
        return Ok(Found::Index(index.manifests));
    }
    let mut manifest: Manifest = serde_json::from_slice(bytes).map_err(malformed)?;
    match manifest.config.media_type.as_str() {
        MEDIA_TYPE => Ok(Found::Cache(manifest.config)),
        BUILDKIT => Err(CacheError::BuildKit),
        _ => Ok(Found::Image(manifest.annotations.remove(INLINE))),
    }
}

/// Puts a cache into the store: a manifest of a document and the layers that it says are kept.
pub(super) fn write(store: &Store, mut steps: Steps) -> Result<Descriptor, StoreError> {
    let config = steps.save(store)?;
    let mut seen = BTreeSet::new();
    let kept = steps.layers().filter(|layer| layer.kept && seen.insert(layer.blob.digest.clone()));
    let mut layers: Vec<Descriptor> = kept.map(|layer| layer.blob.clone()).collect();
    if layers.is_empty() {
        // Source: OCI image specification, `manifest.md`, "Guidance for an Empty Descriptor".
        let empty = b"{}";
        layers.push(Descriptor {
            media_type: "application/vnd.oci.empty.v1+json".into(),
            digest: store.put(empty)?,
            size: empty.len() as u64,
            annotations: std::collections::BTreeMap::new(),
        });
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": config,
        "layers": layers,
    });
    let bytes = canonical(&manifest, "the manifest of a cache")?;
    Ok(Descriptor {
        media_type: media_type::MANIFEST.to_owned(),
        digest: store.put(&bytes)?,
        size: bytes.len() as u64,
        annotations: std::collections::BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_an_image_and_what_buildkit_wrote_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let cache = write(&store, Steps::default()).expect("written");
        let bytes = store.read_document(&cache.digest).expect("read");
        let Ok(Found::Cache(config)) = read(&cache.media_type, &bytes) else { panic!("no cache") };
        assert_eq!(Steps::load(&store, &config).expect("read"), Steps::default());

        let text = String::from_utf8(bytes).expect("text");
        let foreign = text.replace(MEDIA_TYPE, BUILDKIT);
        assert!(matches!(read(media_type::MANIFEST, foreign.as_bytes()), Err(CacheError::BuildKit)));
        let image = text.replace(MEDIA_TYPE, media_type::CONFIG);
        assert!(matches!(read(media_type::MANIFEST, image.as_bytes()), Ok(Found::Image(None))));
        let carrying = image.replacen('{', &format!("{{\"annotations\":{{\"{INLINE}\":\"x\"}},"), 1);
        let found = read(media_type::MANIFEST, carrying.as_bytes());
        assert!(matches!(found, Ok(Found::Image(Some(text))) if text == "x"));

        let entry = serde_json::to_string(&config).expect("json").replace(MEDIA_TYPE, BUILDKIT);
        let index = format!("{{\"schemaVersion\":2,\"manifests\":[{entry}]}}");
        assert!(matches!(read(media_type::INDEX, index.as_bytes()), Err(CacheError::BuildKit)));
        assert!(matches!(read(media_type::MANIFEST, b"{"), Err(CacheError::Malformed { .. })));
    }
}

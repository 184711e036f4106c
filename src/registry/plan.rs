//! What has to be in a repository before an image or index can be: read from the store.

use std::collections::HashSet;

use polyarch_actors::{Descriptor, Digest};

use super::document::{self, Content, Layer};
use crate::oci::{Store, StoreError};

/// How deep indexes may be nested.
const DEEPEST: u32 = 8;

/// Everything that one image or index needs, each thing once.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Configs and layers, in the order of the manifests.
    pub(super) blobs: Vec<Descriptor>,
    /// Layers that no registry may keep.
    pub(super) foreign: Vec<Layer>,
    /// Image manifests.
    pub(super) images: Vec<Stored>,
    /// Indexes, each after those it points at.
    pub(super) indexes: Vec<Stored>,
}

/// A document of the store.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
}

impl Plan {
    /// Plans for the image or index `root`.
    pub(super) fn read(store: &Store, root: &Digest) -> Result<Self, StoreError> {
        let mut plan = Self::default();
        let mut seen = HashSet::new();
        plan.add(store, root, None, &mut seen, 0)?;
        Ok(plan)
    }

    /// The image or index that was planned for.
    pub(super) fn root(&self) -> Option<&Stored> {
        self.indexes.last().or(self.images.last())
    }

    fn add(
        &mut self,
        store: &Store,
        digest: &Digest,
        declared: Option<&str>,
        seen: &mut HashSet<Digest>,
        depth: u32,
    ) -> Result<(), StoreError> {
        if !seen.insert(digest.clone()) {
            return Ok(());
        }
        let malformed = |reason: String| StoreError::Malformed { what: format!("manifest {digest}"), reason };
        if depth > DEEPEST {
            return Err(malformed(format!("indexes are nested more than {DEEPEST} deep")));
        }
        let bytes = store.read_document(digest)?;
        let document = document::read(&bytes, declared).map_err(malformed)?;
        let stored = Stored { digest: digest.clone(), media_type: document.media_type, bytes };
        match document.content {
            Content::Index(children) => {
                for child in children {
                    self.add(store, &child.digest, Some(&child.media_type), seen, depth + 1)?;
                }
                self.indexes.push(stored);
            }
            Content::Image { config, layers } => {
                let (layers, foreign): (Vec<_>, Vec<_>) =
                    layers.into_iter().partition(|layer| layer.foreign_urls().is_empty());
                self.foreign.extend(foreign);
                let layers = layers.into_iter();
                for blob in std::iter::once(config).chain(layers.map(|layer| layer.descriptor)) {
                    if seen.insert(blob.digest.clone()) {
                        self.blobs.push(blob);
                    }
                }
                self.images.push(stored);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn put(store: &Store, document: &Value) -> Value {
        let bytes = serde_json::to_vec(document).expect("json");
        let digest = store.put(&bytes).expect("stored");
        let kind = document["mediaType"].as_str().expect("a kind");
        json!({"mediaType": kind, "digest": digest.as_str(), "size": bytes.len()})
    }

    fn image(store: &Store, layers: &[&str]) -> Value {
        let blob = |text: &&str| {
            let digest = store.put(text.as_bytes()).expect("stored");
            json!({"mediaType": "layer", "digest": digest.as_str(), "size": text.len()})
        };
        let mut foreign = blob(&"foreign");
        foreign["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
        foreign["urls"] = json!(["https://example.com/foreign"]);
        let mut layers: Vec<Value> = layers.iter().map(blob).collect();
        layers.push(foreign);
        put(
            store,
            &json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": blob(&"config"), "layers": layers,
            }),
        )
    }

    fn index(store: &Store, children: &[Value]) -> Value {
        let kind = "application/vnd.oci.image.index.v1+json";
        put(store, &json!({"schemaVersion": 2, "mediaType": kind, "manifests": children}))
    }

    #[test]
    fn children_come_first_and_shared_blobs_once_and_foreign_layers_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let (one, two) = (image(&store, &["shared", "one"]), image(&store, &["shared", "two"]));
        let inner = index(&store, std::slice::from_ref(&two));
        let outer = index(&store, &[one.clone(), inner.clone(), two.clone()]);
        let root: Digest = outer["digest"].as_str().expect("text").parse().expect("a digest");
        let plan = Plan::read(&store, &root).expect("a plan");
        assert_eq!(plan.blobs.iter().map(|blob| blob.size).collect::<Vec<_>>(), [6, 6, 3, 3]);
        let digests =
            |list: &[Stored]| list.iter().map(|it| Value::from(it.digest.as_str())).collect::<Vec<_>>();
        assert_eq!(digests(&plan.images), [one["digest"].clone(), two["digest"].clone()]);
        assert_eq!(digests(&plan.indexes), [inner["digest"].clone(), outer["digest"].clone()]);
        assert_eq!(plan.root().expect("a root").digest, root);
    }

    #[test]
    fn what_is_missing_or_endless_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let mut entry = image(&store, &["x"]);
        for _ in 0..10 {
            entry = index(&store, &[entry]);
        }
        let root = entry["digest"].as_str().expect("text").parse().expect("a digest");
        let error = Plan::read(&store, &root).expect_err("too deep").to_string();
        assert!(error.ends_with("indexes are nested more than 8 deep"), "{error}");
        let missing = crate::oci::digest_of(b"missing");
        assert!(matches!(Plan::read(&store, &missing), Err(StoreError::Missing(_))));
    }
}

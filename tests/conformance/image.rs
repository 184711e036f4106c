//! An image as it lies in an OCI layout.

use std::{fs, path::Path};

use polyarch::archive::{Archive, decompress};
use serde_json::Value;

use super::tree::Tree;

/// The config and the layers of the only image of a layout.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) config: Value,
    layers: Vec<Vec<u8>>,
}

impl Image {
    /// Reads the layout in a folder.
    pub(super) fn read(layout: &Path) -> Self {
        let index = document(&layout.join("index.json"));
        let index = blob(layout, &only(&index["manifests"])["digest"]);
        let index: Value = serde_json::from_slice(&index).expect("an index");
        let manifest = blob(layout, &only(&index["manifests"])["digest"]);
        let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest");
        let config = blob(layout, &manifest["config"]["digest"]);
        let layers = manifest["layers"].as_array().into_iter().flatten();
        Self {
            config: serde_json::from_slice(&config).expect("a config"),
            layers: layers.map(|layer| blob(layout, &layer["digest"])).collect(),
        }
    }

    /// How many layers there are.
    pub(super) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The digests of the uncompressed layers.
    pub(super) fn diff_ids(&self) -> Vec<&str> {
        let ids = self.config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        ids.filter_map(Value::as_str).collect()
    }

    /// The files as the first `count` layers leave them.
    pub(super) fn tree(&self, count: usize) -> Tree {
        let mut tree = Tree::default();
        for layer in &self.layers[..count] {
            let bytes = decompress(std::io::Cursor::new(layer.clone())).expect("a layer");
            tree.apply(Archive::new(bytes)).expect("a layer");
        }
        tree
    }
}

fn only(list: &Value) -> &Value {
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 1, "not one image");
    &list[0]
}

fn document(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a document")).expect("json")
}

fn blob(layout: &Path, digest: &Value) -> Vec<u8> {
    let digest = digest.as_str().expect("a digest");
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    let bytes = fs::read(layout.join("blobs/sha256").join(hex)).expect("a blob");
    assert_eq!(polyarch::oci::digest_of(&bytes).as_str(), digest);
    bytes
}

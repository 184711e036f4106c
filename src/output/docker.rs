//! One image as `docker save` writes it: an OCI layout that has Docker's `manifest.json` besides.
//!
//! Source: moby, `image/spec/spec.md`; containerd, `core/images/archive/exporter.go`.

use std::io::Write;

use polyarch_actors::{Descriptor, Digest};
use serde::{Deserialize, Serialize};

use super::error::OutputError;
use crate::oci::{
    Reference, Store, StoreError,
    index::{Index, canonical},
    layout,
};

/// What Docker loads an image by.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Part,
    layers: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    digest: Digest,
}

/// Writes the only image of an index to `out`.
pub(super) fn write(
    store: &Store,
    index: &Descriptor,
    names: &[Reference],
    out: &mut dyn Write,
) -> Result<(), OutputError> {
    let malformed = |what: &Digest, reason: String| StoreError::Malformed {
        what: format!("the document {what}"),
        reason,
    };
    let image = Index::read(store, &index.digest)?.manifests.into_iter().next();
    let image = image.ok_or_else(|| malformed(&index.digest, "it has no image".into()))?.descriptor;
    let manifest: Manifest = serde_json::from_slice(&store.read_document(&image.digest)?)
        .map_err(|error| malformed(&image.digest, error.to_string()))?;
    let blob = |part: &Part| format!("blobs/sha256/{}", part.digest.hex());
    let tagged = names.iter().filter_map(|name| name.with_tag(name.tag_or_latest()).ok());
    let listed = [Image {
        config: blob(&manifest.config),
        repo_tags: tagged.map(|name| name.familiar()).collect(),
        layers: manifest.layers.iter().map(blob).collect(),
    }];
    let documents = [("manifest.json", canonical(&listed, "manifest.json")?)];
    Ok(layout::write_archive_with(store, &image, names, documents, out)?)
}

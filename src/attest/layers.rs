//! What each layer of an image was made by, as its history says.

use polyarch_actors::{Descriptor, Digest};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::oci::{Store, StoreError};

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    history: Vec<History>,
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    created_by: Option<String>,
    #[serde(default)]
    empty_layer: bool,
}

/// The layers of an image of the store, the lowest first.
pub(super) fn layers(store: &Store, manifest: &Digest) -> Result<Value, StoreError> {
    let malformed = |what: String| {
        move |error: serde_json::Error| StoreError::Malformed { what, reason: error.to_string() }
    };
    let Manifest { config, layers } = serde_json::from_slice(&store.read_document(manifest)?)
        .map_err(malformed(format!("the manifest {manifest}")))?;
    let config: Config = serde_json::from_slice(&store.read_document(&config.digest)?)
        .map_err(malformed(format!("the config {}", config.digest)))?;
    let mut history = config.history.into_iter().filter(|history| !history.empty_layer);
    let layers = layers.into_iter().map(|layer| {
        let mut said = json!({"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size});
        if let Some(made_by) = history.next().and_then(|history| history.created_by) {
            said["createdBy"] = made_by.into();
        }
        said
    });
    Ok(layers.collect())
}

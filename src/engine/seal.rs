//! The end of a build: the config and the manifest of the image.

use std::{collections::BTreeMap, sync::Arc};

use polyarch_actors::{BuildError, Descriptor, Digest, Materials, Platform};

use super::{
    build::Build,
    chain::{ChainLayer, LayerOrigin},
    config::{COMMENT, History, ImageLayer, ImageManifest},
    error::{EngineError, blocking},
    imports,
    key::Key,
    records::Record,
    stage::Stage,
};
use crate::{
    oci::{
        index::{EntryPlatform, canonical},
        media_type,
    },
    time,
};

/// A finished image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Its manifest, in the store with everything it points at.
    pub manifest: Descriptor,
    /// Its config.
    pub config: Digest,
    /// What it is for, as its config says.
    pub platform: Platform,
    /// How many of its layers are those of its base.
    pub based: usize,
    /// What its steps led to, a document in the store, if the request wants it.
    pub steps: Option<Descriptor>,
    /// What it is made of that is from elsewhere.
    pub materials: Materials,
}

/// Writes the config and the manifest.
pub(super) async fn seal(build: &Arc<Build>, stage: Stage) -> Result<Assembled, BuildError> {
    let file = build.dockerfile.file.clone();
    let build = Arc::clone(build);
    blocking(move || write(&build, stage)).await.map_err(|error| error.of(&file))
}

fn write(build: &Build, stage: Stage) -> Result<Assembled, EngineError> {
    let Stage { mut config, chain, .. } = stage;
    let labels = build.request.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    config.config.labels.extend(labels);
    let platform = &build.request.platform;
    let base = std::mem::take(&mut config.platform);
    let os_version = base.os_version.or_else(|| platform.os_version().map(str::to_owned));
    let os_features = base.os_features;
    config.platform = EntryPlatform { os_version, os_features, ..EntryPlatform::from(platform) };
    config.created = None;
    // The same image again keeps the time at which it was first made, and so its digest.
    let undated = canonical(&config, "an image config")?;
    let epoch = build.epoch.map(i64::to_le_bytes);
    let key = Key::new("image").field(&undated).option(epoch).end();
    let created = match (build.epoch, build.records.recall(&key)) {
        (Some(epoch), _) => time::rfc3339(epoch),
        (None, Some(record)) => {
            build.records.note(&key, &record);
            record.created
        }
        (None, None) => {
            let created = time::rfc3339(time::now());
            let record = Record {
                layer: None,
                created: created.clone(),
                build: build.request.build.clone(),
                imported: false,
            };
            build.records.remember(&key, &record)?;
            build.records.note(&key, &record);
            created
        }
    };
    let is_ours =
        |history: &&mut History| history.created.is_none() && history.comment.as_deref() == Some(COMMENT);
    for history in config.history.iter_mut().filter(is_ours) {
        history.created = Some(created.clone());
    }
    config.created = Some(created);
    let store = &build.engine.store;
    let bytes = canonical(&config, "an image config")?;
    let digest = store.put(&bytes)?;
    let descriptor = |media_type: &str, digest: &Digest, size: usize| Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.clone(),
        size: size as u64,
        annotations: BTreeMap::new(),
    };
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.to_owned(),
        config: descriptor(media_type::CONFIG, &digest, bytes.len()),
        layers: chain.layers().iter().map(as_written).collect(),
    };
    let manifest = canonical(&manifest, "an image manifest")?;
    let manifest_digest = store.put(&manifest)?;
    let steps = build.request.notes_steps.then(|| imports::noted(&build.records, &chain).save(store));
    Ok(Assembled {
        based: chain.layers().iter().filter(|layer| matches!(layer.origin, LayerOrigin::Base(_))).count(),
        steps: steps.transpose()?,
        materials: build.materials(),
        manifest: descriptor(media_type::MANIFEST, &manifest_digest, manifest.len()),
        config: digest,
        platform: platform.clone().with_os_version(config.platform.os_version),
    })
}

/// A layer in a manifest; one of a base as the base has it.
fn as_written(layer: &ChainLayer) -> ImageLayer {
    let of_base = match &layer.origin {
        LayerOrigin::Base(base) => {
            base.layers.iter().find(|known| known.descriptor.digest == layer.blob.digest)
        }
        LayerOrigin::Here | LayerOrigin::Imported => None,
    };
    of_base.cloned().unwrap_or_else(|| layer.blob.clone().into())
}

//! Moves a finished image from a worker into the store.
//!
//! `buildah push` compresses every layer each time, the base's too. A layer whose blob is in the store already is
//! given to it as an empty file under the name of its uncompressed digest: buildah takes that for the layer and
//! skips it, and the manifest gets the blob's digest here. An image that was moved before needs no push at all.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use polyarch_actors::{BuildError, Descriptor, Digest, Platform};
use serde::{Deserialize, Serialize};

use super::{
    image_config::{ImageConfig, list_or_null},
    layout::{Layout, folder_name},
};
use crate::oci::{LARGEST_DOCUMENT, Store, StoreError};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exported {
    pub(super) manifest: Descriptor,
    pub(super) config: Digest,
}

/// An OCI image manifest, of which only what buildah writes is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    #[serde(default, deserialize_with = "list_or_null")]
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// The index of an OCI layout.
#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// Moves images of one platform.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    pub(super) store: Store,
    pub(super) layout: Layout,
    pub(super) platform: Platform,
    /// Whether a base image stands for the platform, so that the variant is not ours to say.
    pub(super) based: bool,
}

impl Exporter {
    #[cfg(any(target_os = "linux", test))]
    /// The image, if it was moved before and is still there.
    pub(super) fn known(&self, image: &str) -> Option<Exported> {
        let exported: Exported = serde_json::from_slice(&fs::read(self.memory(image)).ok()?).ok()?;
        let manifest = self.store.read_document(&exported.manifest.digest).ok()?;
        let manifest: Manifest = serde_json::from_slice(&manifest).ok()?;
        let mut parts = manifest.layers.iter().chain([&manifest.config]);
        parts.all(|part| self.holds(part)).then_some(exported)
    }

    #[cfg(any(target_os = "linux", test))]
    /// Makes a layout for `buildah push` in an empty folder, with stand-ins for the layers that are here.
    pub(super) fn prepare(&self, layout: &Path, diff_ids: &[Digest]) -> io::Result<()> {
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for diff_id in diff_ids.iter().filter(|diff_id| self.layer(diff_id).is_some()) {
            fs::write(blobs.join(diff_id.hex()), "")?;
        }
        Ok(())
    }

    /// Takes the image that was pushed to a layout into the store. `stored` is its config as buildah keeps it.
    pub(super) fn take(
        &self,
        image: &str,
        layout: &Path,
        stored: &ImageConfig,
    ) -> Result<Exported, BuildError> {
        let index: Index = parse(&read(&layout.join("index.json"))?, "the layout's index")?;
        let [pushed] = &index.manifests[..] else {
            return Err(odd(format!("the layout has {} images", index.manifests.len())));
        };
        let blob = |digest: &Digest| layout.join("blobs/sha256").join(digest.hex());
        let mut manifest: Manifest = parse(&read(&blob(&pushed.digest))?, "the manifest")?;
        let config_bytes = read(&blob(&manifest.config.digest))?;
        let config =
            ImageConfig::parse(&config_bytes).map_err(|error| odd(format!("the config: {error}")))?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(odd("the manifest and the config have different numbers of layers"));
        }
        for (layer, diff_id) in manifest.layers.iter_mut().zip(&config.rootfs.diff_ids) {
            *layer = self.take_layer(layer, diff_id, &blob(&layer.digest))?;
        }
        let config_bytes = completed(self.checked(config_bytes, &config)?, stored)?;
        let config = self.store.put(&config_bytes).map_err(store)?;
        MANIFEST.clone_into(&mut manifest.media_type);
        manifest.config = describe(CONFIG, config.clone(), config_bytes.len());
        // Written anew even where nothing changed: the bytes must not depend on which layers were here before.
        let bytes = serde_json::to_vec(&manifest).map_err(odd)?;
        let digest = self.store.put(&bytes).map_err(store)?;
        let exported = Exported { manifest: describe(MANIFEST, digest, bytes.len()), config };
        remember(&self.memory(image), &exported);
        Ok(exported)
    }

    /// Remembers which blob of the store holds a layer.
    pub(super) fn know(&self, diff_id: &Digest, layer: &Descriptor) {
        remember(&self.layout.layer(diff_id), layer);
    }

    fn take_layer(
        &self,
        layer: &Descriptor,
        diff_id: &Digest,
        file: &Path,
    ) -> Result<Descriptor, BuildError> {
        if layer.digest == *diff_id
            && let Some(known) = self.layer(diff_id)
        {
            return Ok(known);
        }
        let size = self.store.adopt(file, &layer.digest).map_err(store)?;
        let taken = Descriptor { size, annotations: BTreeMap::new(), ..layer.clone() };
        remember(&self.layout.layer(diff_id), &taken);
        Ok(taken)
    }

    /// The config for the platform that was asked for, or the error that it is for another.
    fn checked(&self, bytes: Vec<u8>, config: &ImageConfig) -> Result<Vec<u8>, BuildError> {
        let built = config.platform();
        if built.as_ref().is_some_and(|built| self.platform.is_satisfied_by(built)) {
            return Ok(bytes);
        }
        let same_cpu = built
            .is_some_and(|built| built.os() == self.platform.os() && built.arch() == self.platform.arch());
        if !same_cpu || self.based {
            return Err(BuildError::WrongPlatform {
                requested: self.platform.clone(),
                built: config.stated(),
            });
        }
        // Without a base the variant is only a word, and buildah 1.28 writes v7 for every 32-bit ARM.
        let mut document: serde_json::Value = parse(&bytes, "the config")?;
        document["variant"] = self.platform.variant().unwrap_or_default().into();
        serde_json::to_vec(&document).map_err(odd)
    }

    /// The blob of a layer, if it is known and there.
    fn layer(&self, diff_id: &Digest) -> Option<Descriptor> {
        let known: Descriptor = serde_json::from_slice(&fs::read(self.layout.layer(diff_id)).ok()?).ok()?;
        self.holds(&known).then_some(known)
    }

    fn holds(&self, part: &Descriptor) -> bool {
        self.store.size(&part.digest).is_ok_and(|size| size == part.size)
    }

    fn memory(&self, image: &str) -> PathBuf {
        self.layout.exported(&folder_name(&self.platform), image)
    }
}

/// The config with what Docker's form says beyond OCI's, and a list of layers even where there is none.
fn completed(bytes: Vec<u8>, stored: &ImageConfig) -> Result<Vec<u8>, BuildError> {
    let fields = stored.beyond_oci();
    if fields.is_empty() && !stored.rootfs.diff_ids.is_empty() {
        return Ok(bytes);
    }
    let mut document: serde_json::Value = parse(&bytes, "the config")?;
    if document["rootfs"]["diff_ids"].is_null() {
        document["rootfs"]["diff_ids"] = serde_json::Value::Array(Vec::new());
    }
    for (name, value) in fields {
        document["config"][name] = value;
    }
    serde_json::to_vec(&document).map_err(odd)
}

/// Remembers something that saves work later; without it the work is done again.
fn remember(path: &Path, what: &impl Serialize) {
    let written = || -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(folder)?;
        io::Write::write_all(&mut file, &serde_json::to_vec(what)?)?;
        file.persist(path)?;
        Ok(())
    };
    let _ = written();
}

fn describe(media_type: &str, digest: Digest, size: usize) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest, size: size as u64, annotations: BTreeMap::new() }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    let failed = |error: io::Error| odd(format!("{}: {error}", path.display()));
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST_DOCUMENT {
        return Err(odd(format!("{} has {size} bytes", path.display())));
    }
    fs::read(path).map_err(failed)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, BuildError> {
    serde_json::from_slice(bytes).map_err(|error| odd(format!("{what}: {error}")))
}

fn odd(what: impl std::fmt::Display) -> BuildError {
    BuildError::Host { reason: format!("buildah pushed something odd: {what}"), retryable: false }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn store(error: StoreError) -> BuildError {
    if error.is_full()
        && let StoreError::Io { path, .. } = &error
    {
        return BuildError::NoSpace { path: path.display().to_string() };
    }
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    BuildError::Host { reason: format!("{error}{source}"), retryable: false }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;

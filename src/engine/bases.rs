//! Base images: from a registry into the store, each for one exact platform.
//!
//! The registry decides what a name means, as for BuildKit; names in the local store are not looked at. What a
//! name meant is remembered, so that without `--pull` a base that is complete in the store is not asked for again.

use std::{fs, io, path::PathBuf};

use futures::{StreamExt as _, TryStreamExt as _};
use polyarch_actors::{BuildError, Descriptor, Digest, EventKind, EventSink, Platform, PullPolicy};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{
    config::{ImageConfig, ImageManifest},
    error::{EngineError, blocking},
};
use crate::{
    oci::{
        LARGEST_DOCUMENT, MOST_LAYERS, Reference, Store, StoreError, digest_of,
        index::{EntryPlatform, Index},
        media_type, touch,
    },
    registry::{RegistryClient, RegistryError, TransferCx},
};

/// Where it is remembered what names mean, in the store.
const FOLDER: &str = "backends/sandbox/bases";
/// How many layers of one image are fetched at once.
const AT_ONCE: usize = 4;

/// A base image: what it says of itself, and where its layers are.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) config: ImageConfig,
    /// Its layers, with OCI's media types.
    pub(super) layers: Vec<Descriptor>,
    /// The digest of its manifest.
    pub(super) manifest: Digest,
    /// What it is fetched by; absent where all of it is in the store.
    name: Option<Name>,
    /// Whether its layers are in the store.
    complete: OnceCell<()>,
}

/// What a base image is called.
#[derive(Clone, Debug)]
struct Name {
    reference: Reference,
    /// As the Dockerfile has it.
    written: String,
}

/// Fetches base images.
#[derive(Clone, Debug)]
pub(super) struct Puller {
    /// Where to.
    pub(super) store: Store,
    /// Where from.
    pub(super) client: RegistryClient,
    /// What accompanies the fetching.
    pub(super) cx: TransferCx,
    /// Whether a registry is asked although the image is there.
    pub(super) pull: PullPolicy,
    pub(super) events: EventSink,
}

#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    reference: String,
    platform: Platform,
    manifest: Digest,
}

impl Puller {
    /// The image that `reference` means for `platform`; its layers wait until [`Puller::complete`].
    ///
    /// # Errors
    /// [`BuildError::BaseImage`] when there is none.
    pub(super) async fn find(&self, reference: &str, platform: &Platform) -> Result<Base, BuildError> {
        let missing = |reason: String| BuildError::BaseImage {
            image: reference.to_owned(),
            platform: platform.clone(),
            reason,
            place: None,
        };
        let failed_here = |error: EngineError| error.of(reference);
        let name: Reference = reference.parse().map_err(|error| missing(format!("{error}")))?;
        let slot = digest_of(format!("{name} {platform}").as_bytes());
        let name = Name { reference: name, written: reference.to_owned() };
        if self.pull == PullPolicy::Missing {
            let (store, slot, platform, name) =
                (self.store.clone(), slot.clone(), platform.clone(), name.clone());
            if let Some(found) =
                blocking(move || Ok(recall(&store, &slot, &platform, name))).await.map_err(failed_here)?
            {
                return Ok(found);
            }
        }
        let failed = |error: RegistryError| match error {
            RegistryError::NotFound { .. } => missing(error.to_string()),
            error => unfetched(error, reference),
        };
        let manifest = self.manifest(&name, platform, &missing).await?;
        let image: ImageManifest = serde_json::from_slice(&manifest.1)
            .map_err(|error| missing(format!("its manifest is malformed: {error}")))?;
        check(&image).map_err(&missing)?;
        self.client.pull_blob(&name.reference, &image.config, &self.store, &self.cx).await.map_err(failed)?;
        let (store, digest) = (self.store.clone(), image.config.digest.clone());
        let config = blocking(move || Ok(store.read_document(&digest)?)).await.map_err(failed_here)?;
        let base = read(&manifest.0, &image, &config, platform, Some(name)).map_err(&missing)?;
        let store = self.store.clone();
        let (text, wanted) = (reference.to_owned(), platform.clone());
        blocking(move || {
            let manifest = store.put(&manifest.1)?;
            Ok(remember(&store, &slot, &Remembered { reference: text, platform: wanted, manifest })?)
        })
        .await
        .map_err(failed_here)?;
        Ok(base)
    }

    /// The image for `platform` in an index or manifest of the store.
    ///
    /// # Errors
    /// [`BuildError::BaseImage`] when it is for other platforms.
    pub(super) async fn stored(
        &self,
        name: &str,
        found: &Descriptor,
        platform: &Platform,
    ) -> Result<Base, BuildError> {
        let missing = |reason: String| BuildError::BaseImage {
            image: name.to_owned(),
            platform: platform.clone(),
            reason,
            place: None,
        };
        let document = |digest: Digest| {
            let store = self.store.clone();
            async move {
                let read = blocking(move || Ok(store.read_document(&digest)?)).await;
                read.map_err(|error| error.of(name))
            }
        };
        let mut digest = found.digest.clone();
        let mut manifest = document(digest.clone()).await?;
        if media_type::is_index(&found.media_type) {
            let chosen = of_index(&manifest, platform).map_err(&missing)?;
            digest = chosen.digest;
            manifest = document(digest.clone()).await?;
        }
        let image: ImageManifest = serde_json::from_slice(&manifest)
            .map_err(|error| missing(format!("its manifest is malformed: {error}")))?;
        check(&image).map_err(&missing)?;
        let config = document(image.config.digest.clone()).await?;
        read(&digest, &image, &config, platform, None).map_err(missing)
    }

    /// Fetches the layers that are not in the store yet, once.
    pub(super) async fn complete(&self, base: &Base) -> Result<(), BuildError> {
        let fetch = || async {
            let (store, layers) = (self.store.clone(), base.layers.clone());
            let lacking = blocking(move || {
                Ok(layers.into_iter().filter(|layer| !store.contains(&layer.digest)).collect::<Vec<_>>())
            });
            let lacking = lacking.await.map_err(|error| error.of("a base image"))?;
            let Some(name) = base.name.as_ref().filter(|_| !lacking.is_empty()) else { return Ok(()) };
            let pulls: Vec<_> = lacking
                .iter()
                .map(|layer| self.client.pull_blob(&name.reference, layer, &self.store, &self.cx))
                .collect();
            let pulls = futures::stream::iter(pulls).buffer_unordered(AT_ONCE);
            let pulled = pulls.try_for_each(|_| async { Ok(()) }).await;
            pulled.map_err(|error| unfetched(error, &name.written))?;
            self.events.emit(EventKind::Pulled { image: name.reference.familiar() });
            Ok(())
        };
        base.complete.get_or_try_init(fetch).await.copied()
    }

    /// The manifest for the platform, and its bytes.
    async fn manifest(
        &self,
        name: &Name,
        platform: &Platform,
        missing: &impl Fn(String) -> BuildError,
    ) -> Result<(Digest, Vec<u8>), BuildError> {
        let failed = |error: RegistryError| match error {
            RegistryError::NotFound { .. } => missing(error.to_string()),
            error => unfetched(error, &name.written),
        };
        let found = self.client.manifest(&name.reference, &self.cx).await.map_err(failed)?;
        if !media_type::is_index(&found.descriptor.media_type) {
            return Ok((found.descriptor.digest, found.bytes));
        }
        let chosen = of_index(&found.bytes, platform).map_err(missing)?;
        let image = self.client.manifest_of(&name.reference, &chosen, &self.cx).await.map_err(failed)?;
        Ok((image.descriptor.digest, image.bytes))
    }
}

/// What a registry did not give, with the image that was wanted.
fn unfetched(error: RegistryError, wanted: &str) -> BuildError {
    let mut error = error.into();
    if let BuildError::Registry { image, .. } = &mut error {
        *image = Some(wanted.to_owned());
    }
    error
}

/// The entry for a platform in an index.
fn of_index(index: &[u8], platform: &Platform) -> Result<Descriptor, String> {
    let index: Index =
        serde_json::from_slice(index).map_err(|error| format!("its index is malformed: {error}"))?;
    let entries =
        index.manifests.iter().filter(|entry| media_type::is_manifest(&entry.descriptor.media_type));
    let stated: Vec<(Platform, &Descriptor)> = entries
        .filter_map(|entry| Some((entry.platform.as_ref()?.to_platform()?, &entry.descriptor)))
        .collect();
    choose(platform, &stated).cloned().ok_or_else(|| {
        let mut there: Vec<String> = stated.iter().map(|(platform, _)| platform.to_string()).collect();
        there.dedup();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        format!("it is there for other platforms only: {there}")
    })
}

/// The entry for a platform: the exact one, or the newest older variant of the same CPU.
fn choose<'d>(wanted: &Platform, stated: &[(Platform, &'d Descriptor)]) -> Option<&'d Descriptor> {
    let exact = stated.iter().find(|(platform, _)| wanted.is_satisfied_by(platform));
    let older = || {
        let usable = stated.iter().filter(|(platform, _)| suits(wanted, platform));
        usable
            .reduce(|best, other| if other.0.runs(&best.0) && !best.0.runs(&other.0) { other } else { best })
    };
    exact.or_else(older).map(|(_, descriptor)| *descriptor)
}

fn suits(wanted: &Platform, found: &Platform) -> bool {
    wanted.is_satisfied_by(found) || (wanted.arch() == found.arch() && wanted.runs(found))
}

/// Refuses an image before anything of it is fetched.
fn check(image: &ImageManifest) -> Result<(), String> {
    let count = image.layers.len();
    if count > MOST_LAYERS {
        return Err(format!("it has {count} layers, more than the {MOST_LAYERS} that are accepted"));
    }
    let size = image.config.size;
    if size > LARGEST_DOCUMENT {
        let most = LARGEST_DOCUMENT;
        return Err(format!("its config has {size} bytes, more than the {most} that are accepted"));
    }
    Ok(())
}

/// What a manifest and its config say, if they are for the platform.
fn read(
    manifest: &Digest,
    image: &ImageManifest,
    config: &[u8],
    wanted: &Platform,
    name: Option<Name>,
) -> Result<Base, String> {
    let mut config: ImageConfig =
        serde_json::from_slice(config).map_err(|error| format!("its config is malformed: {error}"))?;
    let found = config.platform.to_platform();
    if !found.as_ref().is_some_and(|found| suits(wanted, found)) {
        return Err(format!("it is there for {} only", config.platform));
    }
    if config.rootfs.diff_ids.len() != image.layers.len() {
        let (layers, digests) = (image.layers.len(), config.rootfs.diff_ids.len());
        return Err(format!("its manifest has {layers} layers and its config {digests}"));
    }
    let layers = image
        .layers
        .iter()
        .map(|layer| Descriptor { media_type: oci_layer(&layer.media_type).to_owned(), ..layer.clone() });
    // The variant is what was asked for: an older one serves it.
    let os = std::mem::take(&mut config.platform);
    let (os_version, os_features) = (os.os_version, os.os_features);
    config.platform = EntryPlatform { os_version, os_features, ..EntryPlatform::from(wanted) };
    let manifest = manifest.clone();
    Ok(Base { layers: layers.collect(), config, manifest, name, complete: OnceCell::new() })
}

/// Docker's names of layers in OCI's words.
fn oci_layer(kind: &str) -> &str {
    match kind {
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => "application/vnd.oci.image.layer.v1.tar+zstd",
        kind => kind,
    }
}

/// The base that the name meant before.
fn recall(store: &Store, slot: &Digest, platform: &Platform, name: Name) -> Option<Base> {
    let path = path(store, slot);
    let text = fs::read(&path).ok()?;
    let remembered: Remembered = serde_json::from_slice(&text).ok()?;
    let manifest = store.read_document(&remembered.manifest).ok()?;
    let image: ImageManifest = serde_json::from_slice(&manifest).ok()?;
    check(&image).ok()?;
    let config = store.read_document(&image.config.digest).ok()?;
    touch(&path);
    read(&remembered.manifest, &image, &config, platform, Some(name)).ok()
}

fn remember(store: &Store, slot: &Digest, remembered: &Remembered) -> Result<(), StoreError> {
    let folder = store.root().join(FOLDER);
    let io = |action, path: PathBuf| move |source: io::Error| StoreError::Io { action, path, source };
    fs::create_dir_all(&folder).map_err(io("make", folder.clone()))?;
    let text = serde_json::to_vec(remembered).unwrap_or_default();
    store.replace(FOLDER, &format!("{}.json", slot.hex()), &text)
}

fn path(store: &Store, slot: &Digest) -> PathBuf {
    store.root().join(FOLDER).join(format!("{}.json", slot.hex()))
}

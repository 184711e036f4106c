//! Base images: from a registry into the store, each for one exact platform.
//!
//! The registry decides what a name means, as for BuildKit; names in the local store are not looked at. What a
//! name meant is remembered, so that without `--pull` a base that is complete in the store is not asked for again.

use futures::{StreamExt as _, TryStreamExt as _};
use polyarch_actors::{BuildError, Descriptor, Digest, EventKind, EventSink, ImageOs, Platform, PullPolicy};
use tokio::sync::OnceCell;

use super::{
    choice::{of_index, suits},
    config::{ImageConfig, ImageLayer, ImageManifest},
    error::{EngineError, blocking},
    remembered::{Remembered, recall, remember},
};
use crate::{
    oci::{
        LARGEST_DOCUMENT, MOST_LAYERS, Reference, Store, StoreError, digest_of, index::EntryPlatform,
        media_type,
    },
    registry::{RegistryClient, RegistryError, TransferCx},
};

/// How many layers of one image are fetched at once.
const AT_ONCE: usize = 4;

/// A base image: what it says of itself, and where its layers are.
#[derive(Debug)]
pub(crate) struct Base {
    pub(super) config: ImageConfig,
    /// Its layers, with OCI's media types; those that registries may not keep are as its manifest has them.
    pub(super) layers: Vec<ImageLayer>,
    /// The digest of its manifest.
    pub(crate) manifest: Digest,
    /// What it is fetched by; absent where all of it is in the store.
    name: Option<Name>,
    /// What it is for.
    platform: Platform,
    /// Whether its layers are in the store.
    complete: OnceCell<()>,
}

/// What a base image is called.
#[derive(Clone, Debug)]
pub(super) struct Name {
    reference: Reference,
    /// As the Dockerfile has it.
    written: String,
}

/// Fetches base images.
#[derive(Clone, Debug)]
pub(crate) struct Puller {
    /// Where to.
    pub(crate) store: Store,
    /// Where from.
    pub(crate) client: RegistryClient,
    /// What accompanies the fetching.
    pub(crate) cx: TransferCx,
    /// Whether a registry is asked although the image is there.
    pub(crate) pull: PullPolicy,
    pub(crate) events: EventSink,
}

impl Base {
    /// Its layers, bottom first, each with the digest of the archive in it.
    #[cfg(any(target_os = "linux", windows))]
    pub(crate) fn layers(&self) -> impl Iterator<Item = (&Digest, &Descriptor)> {
        self.config.rootfs.diff_ids.iter().zip(self.layers.iter().map(|layer| &layer.descriptor))
    }

    /// Remembers where the layers are of a base that is not fetched with its image: who has only the store may want
    /// them later.
    pub(super) fn note_origins(&self, store: &Store) -> Result<(), StoreError> {
        let windows = self.config.platform.os == ImageOs::Windows.as_str();
        let Some(name) = self.name.as_ref().filter(|_| windows) else { return Ok(()) };
        self.layers.iter().try_for_each(|layer| store.note_origin(&layer.descriptor.digest, &name.reference))
    }
}

impl Puller {
    /// The image that `reference` means for `platform`; its layers wait until [`Puller::complete`].
    ///
    /// # Errors
    /// [`BuildError::BaseImage`] when there is none.
    pub(crate) async fn find(&self, reference: &str, platform: &Platform) -> Result<Base, BuildError> {
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
                blocking(move || recall(&store, &slot, &platform, name)).await.map_err(failed_here)?
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
            remember(&store, &slot, &Remembered { reference: text, platform: wanted, manifest })?;
            base.note_origins(&store)?;
            Ok(base)
        })
        .await
        .map_err(failed_here)
    }

    /// The image for `platform` in an index or manifest of the store.
    ///
    /// # Errors
    /// [`BuildError::BaseImage`] when it is for other platforms.
    pub(crate) async fn stored(
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

    /// Fetches the layers that are not in the store yet, once. The addresses that a manifest gives for layers are
    /// nobody's whom a build should ask.
    pub(crate) async fn complete(&self, base: &Base) -> Result<(), BuildError> {
        let fetch = || async {
            let (store, layers) = (self.store.clone(), base.layers.clone());
            let name = base.name.as_ref().map(|name| name.reference.clone());
            let lacking = blocking(move || {
                let blobs = layers.into_iter().map(|layer| layer.descriptor);
                let lacking = blobs.filter(|blob| !store.contains(&blob.digest));
                Ok(lacking
                    .map(|blob| (name.clone().or_else(|| store.origin(&blob.digest)), blob))
                    .collect::<Vec<_>>())
            });
            let lacking = lacking.await.map_err(|error| error.of("a base image"))?;
            let mut wanted = Vec::new();
            for (from, blob) in lacking {
                let Some(from) = from else {
                    let reason = format!("its layer {} is not in it, and a step looks into it", blob.digest);
                    let (image, platform) = ("an image of a layout".to_owned(), base.platform.clone());
                    return Err(BuildError::BaseImage { image, platform, reason, place: None });
                };
                wanted.push((from, blob));
            }
            let Some((from, _)) = wanted.first() else { return Ok(()) };
            let written = base.name.as_ref().map_or_else(|| from.familiar(), |name| name.written.clone());
            let pulled = from.familiar();
            self.events.emit(EventKind::PullStarted { image: pulled.clone() });
            let pulls: Vec<_> = wanted
                .iter()
                .map(|(from, blob)| self.client.pull_blob(from, blob, &self.store, &self.cx))
                .collect();
            let pulls = futures::stream::iter(pulls).buffer_unordered(AT_ONCE);
            let ended = pulls.try_for_each(|_| async { Ok(()) }).await;
            ended.map_err(|error| unfetched(error, &written))?;
            let bytes = Some(wanted.iter().map(|(_, blob)| blob.size).sum());
            self.events.emit(EventKind::Pulled { image: pulled, bytes });
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

/// Refuses an image before anything of it is fetched.
pub(super) fn check(image: &ImageManifest) -> Result<(), String> {
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
pub(super) fn read(
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
    let layers = image.layers.iter().cloned().map(|mut layer| {
        let kind = &mut layer.descriptor.media_type;
        *kind = oci_layer(kind).to_owned();
        layer
    });
    // The variant is what was asked for: an older one serves it.
    let os = std::mem::take(&mut config.platform);
    let (os_version, os_features) = (os.os_version, os.os_features);
    config.platform = EntryPlatform { os_version, os_features, ..EntryPlatform::from(wanted) };
    let (manifest, platform) = (manifest.clone(), wanted.clone());
    Ok(Base { layers: layers.collect(), config, manifest, name, platform, complete: OnceCell::new() })
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

//! Copies an image or index from a registry into the store.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt};
use polyarch_actors::Descriptor;

use super::{
    client::RegistryClient,
    context::{TransferCx, TransferEvent},
    document::{self, Content, Document, Layer},
    error::RegistryError,
    manifest::Manifest,
};
use crate::oci::{MOST_LAYERS, Reference, Store};

/// The most manifests that one index may lead to.
const MOST_MANIFESTS: usize = 1000;

/// How much of an image is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullDepth {
    /// Manifests, configs and layers.
    Everything,
    /// Manifests and configs: enough to know what an image is and to list it in an index.
    ManifestsAndConfigs,
}

/// Copies what a reference points at into the store, with the images of every platform, and says what it is.
/// What is in the store is not fetched again. The document that the reference points at is stored last, so
/// it is there only when all of it is.
///
/// # Errors
/// [`RegistryError::NotFound`] when there is no such image, [`RegistryError::DigestMismatch`] when the registry
/// delivers something else.
pub async fn pull(
    client: &RegistryClient,
    store: &Store,
    reference: &Reference,
    depth: PullDepth,
    cx: &TransferCx,
) -> Result<Descriptor, RegistryError> {
    let root = client.manifest(reference, cx).await?;
    let descriptor = root.descriptor.clone();
    let odd = |what: String, reason: String| RegistryError::Protocol {
        registry: reference.registry().to_owned(),
        what,
        reason,
    };

    let mut documents: Vec<Manifest> = Vec::new();
    let mut blobs: Vec<Layer> = Vec::new();
    let (mut asked, mut known) = (HashSet::from([descriptor.digest.clone()]), HashSet::new());
    let mut waiting = vec![root];
    while let Some(manifest) = waiting.pop() {
        let about = || format!("manifest {}", manifest.descriptor.digest);
        let read = document::read(&manifest.bytes, Some(&manifest.descriptor.media_type));
        let Document { content, .. } = read.map_err(|reason| odd(about(), reason))?;
        match content {
            Content::Index(children) => {
                for child in children {
                    if !asked.insert(child.digest.clone()) {
                        continue;
                    }
                    if asked.len() > MOST_MANIFESTS {
                        let reason = format!("it leads to more than {MOST_MANIFESTS} manifests");
                        return Err(odd(about(), reason));
                    }
                    waiting.push(child_manifest(client, store, reference, child, cx).await?);
                }
            }
            Content::Image { config, layers } => {
                let count = layers.len();
                if count > MOST_LAYERS {
                    let reason =
                        format!("it has {count} layers, more than the {MOST_LAYERS} that are accepted");
                    return Err(odd(about(), reason));
                }
                let layers = layers.into_iter().filter(|_| depth == PullDepth::Everything);
                for blob in std::iter::once(Layer::from(config)).chain(layers) {
                    if known.insert(blob.descriptor.digest.clone()) {
                        blobs.push(blob);
                    }
                }
            }
        }
        documents.push(manifest);
    }

    let sizes = blobs.iter().map(|blob| blob.descriptor.size);
    cx.expect_bytes(sizes.fold(0, u64::saturating_add));
    let host = client.host(reference.registry());
    // Collected first: a closure that is held across an await would keep the future from being `Send`.
    let pulls: Vec<_> = blobs
        .iter()
        .map(|blob| async {
            let _place = cx.until_cancelled(async { Ok(host.blobs.acquire().await) }).await?;
            let (descriptor, urls) = (&blob.descriptor, blob.foreign_urls());
            let outcome = client.pull_blob_or_foreign(reference, descriptor, urls, store, cx).await?;
            let (digest, size) = (descriptor.digest.clone(), descriptor.size);
            cx.emit(TransferEvent::BlobFinished { repository: reference.name(), digest, size, outcome });
            Ok::<_, RegistryError>(())
        })
        .collect();
    let at_once = pulls.len().max(1);
    futures::stream::iter(pulls).buffer_unordered(at_once).try_collect::<()>().await?;

    // The root was taken first, so it is stored last.
    for manifest in documents.into_iter().rev() {
        let store = store.clone();
        let digest = manifest.descriptor.digest;
        tokio::task::spawn_blocking(move || store.put(&manifest.bytes))
            .await
            .map_err(|error| RegistryError::Setup { reason: error.to_string() })??;
        cx.emit(TransferEvent::ManifestFinished { repository: reference.name(), digest });
    }
    Ok(descriptor)
}

/// Reads a manifest that an index points at, from the store if it is there.
async fn child_manifest(
    client: &RegistryClient,
    store: &Store,
    reference: &Reference,
    child: Descriptor,
    cx: &TransferCx,
) -> Result<Manifest, RegistryError> {
    if !store.contains(&child.digest) {
        return client.manifest_of(reference, &child, cx).await;
    }
    let bytes = store.read_document(&child.digest)?;
    let descriptor = Descriptor { size: bytes.len() as u64, ..child.clone() };
    let manifest = Manifest { descriptor, bytes };
    manifest.check(reference, &child)?;
    Ok(manifest)
}

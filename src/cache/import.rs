//! Reading a cache: what its steps led to. Its layers stay where they are until somebody looks into one.

use polyarch_actors::{Descriptor, Digest, ImportedSteps, LayerSource, Platform};

use super::{
    document::Steps,
    error::CacheError,
    layers::blocking,
    manifest::{self, Found},
    place::CacheSource,
};
use crate::{
    oci::{
        LARGEST_DOCUMENT, Store, copy_layout_blob,
        index::{EntryPlatform, IndexEntry},
        read_layout_manifest,
    },
    registry::{RegistryClient, TransferCx},
};

/// Brings the steps of a cache into the store, with how many there are. Of an index of images that carry caches, only
/// those of `platforms` are looked at.
pub(crate) async fn import(
    source: &CacheSource,
    platforms: &[Platform],
    store: &Store,
    client: &RegistryClient,
    cx: &TransferCx,
) -> Result<(ImportedSteps, usize), CacheError> {
    let reading = Reading { source, store, client, cx };
    let (kind, bytes) = reading.manifest(None).await?;
    let mut carried = Vec::new();
    let steps = match manifest::read(&kind, &bytes)? {
        Found::Cache(document) => Some(reading.document(document).await?),
        Found::Image(text) => {
            carried.extend(text);
            None
        }
        Found::Index(entries) => {
            for entry in entries.iter().filter(|entry| is_for(entry, platforms)) {
                let (kind, bytes) = reading.manifest(Some(&entry.descriptor.digest)).await?;
                if let Found::Image(Some(text)) = manifest::read(&kind, &bytes)? {
                    carried.push(text);
                }
            }
            None
        }
    };
    let steps = match (steps, carried.is_empty()) {
        (Some(steps), _) => steps,
        (None, true) => return Err(CacheError::NoCache),
        (None, false) => {
            let mut all = Steps::default();
            for text in carried {
                all.merge(Steps::read(text.as_bytes()).map_err(malformed)?);
            }
            all
        }
    };
    let layers = match source {
        CacheSource::Registry(reference) => LayerSource::Registry(reference.to_string()),
        CacheSource::Directory { folder, .. } => {
            LayerSource::Layout(std::path::absolute(folder).unwrap_or_else(|_| folder.clone()))
        }
    };
    let (count, store) = (steps.steps.len(), store.clone());
    let steps = blocking(move || steps.save(&store)).await?;
    Ok((ImportedSteps { steps, layers }, count))
}

struct Reading<'r> {
    source: &'r CacheSource,
    store: &'r Store,
    client: &'r RegistryClient,
    cx: &'r TransferCx,
}

impl Reading<'_> {
    /// The manifest that the source names, or another one beside it, with its media type.
    async fn manifest(&self, digest: Option<&Digest>) -> Result<(String, Vec<u8>), CacheError> {
        match self.source {
            CacheSource::Registry(reference) => {
                let name = digest.map(|digest| reference.with_digest(digest.clone()));
                let found = self.client.manifest(name.as_ref().unwrap_or(reference), self.cx).await?;
                Ok((found.descriptor.media_type, found.bytes))
            }
            CacheSource::Directory { folder, tag, digest: named } => {
                let (folder, tag) = (folder.clone(), tag.clone());
                let digest = digest.or(named.as_ref()).cloned();
                let read = move || read_layout_manifest(&folder, tag.as_deref(), digest.as_ref());
                let (found, bytes) = blocking(read).await?;
                Ok((found.media_type, bytes))
            }
        }
    }

    async fn document(&self, document: Descriptor) -> Result<Steps, CacheError> {
        if document.size > LARGEST_DOCUMENT {
            return Err(malformed(format!("its document has {} bytes", document.size)));
        }
        match self.source {
            CacheSource::Registry(reference) => {
                _ = self.client.pull_blob(reference, &document, self.store, self.cx).await?;
            }
            CacheSource::Directory { folder, .. } => {
                let (store, folder, digest) = (self.store.clone(), folder.clone(), document.digest.clone());
                let copy = move || copy_layout_blob(&store, &folder, &digest);
                blocking(copy).await?;
            }
        }
        let store = self.store.clone();
        let bytes = blocking(move || store.read_document(&document.digest)).await?;
        Steps::read(&bytes).map_err(malformed)
    }
}

fn malformed(reason: String) -> CacheError {
    CacheError::Malformed { reason }
}

/// Whether an entry of an index is for one of the platforms, or may be.
fn is_for(entry: &IndexEntry, platforms: &[Platform]) -> bool {
    let stated = entry.platform.as_ref().map(EntryPlatform::to_platform);
    match stated {
        None => true,
        // Attestations are for a platform that there is not.
        Some(None) => false,
        Some(Some(stated)) => platforms.iter().any(|wanted| wanted.is_satisfied_by(&stated)),
    }
}

//! What an index or image of the store gives to another index: its entries, without indexes between.

use polyarch_actors::{Descriptor, Digest};
use serde::Deserialize;

use super::error::IndexError;
use crate::oci::{
    Store, StoreError,
    index::{EntryPlatform, Index, IndexEntry},
    media_type,
};

/// The annotation that says that an entry is about another entry.
///
/// Source: BuildKit, `docs/attestations/attestation-storage.md`.
pub(crate) const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// The annotation that says which.
pub(crate) const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// How deep indexes may be nested.
const DEEPEST: u32 = 8;
/// The most manifests that one source may lead to.
const MOST_MANIFESTS: usize = 1000;

/// One entry for an index that is being made.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it is from, for people.
    pub source: String,
    /// The entry as it was written there.
    pub entry: IndexEntry,
    /// What it points at.
    pub content: PartContent,
}

/// What an entry points at.
#[derive(Clone, Debug, PartialEq)]
pub enum PartContent {
    /// An image, with the platform that its config names.
    Image(EntryPlatform),
    /// Statements about the image with this digest.
    Attestation(Option<Digest>),
}

/// What statements are about, where they say a digest.
pub(super) struct Attested(pub(super) Option<Digest>);

/// What an entry says it is about; `None` where it is an image.
pub(super) fn attested(descriptor: &Descriptor) -> Option<Attested> {
    let annotations = &descriptor.annotations;
    if !annotations.contains_key(REFERENCE_TYPE) && !annotations.contains_key(REFERENCE_DIGEST) {
        return None;
    }
    Some(Attested(annotations.get(REFERENCE_DIGEST).and_then(|digest| digest.parse().ok())))
}

/// The parts that something of the store gives, in order.
pub(super) fn parts_of(store: &Store, root: &Descriptor, source: &str) -> Result<Vec<Part>, IndexError> {
    let mut walk = Walk { store, source, parts: Vec::new(), seen: 0 };
    walk.take(IndexEntry::without_platform(root.clone()), 0)?;
    Ok(walk.parts)
}

struct Walk<'w> {
    store: &'w Store,
    source: &'w str,
    parts: Vec<Part>,
    seen: usize,
}

impl Walk<'_> {
    fn take(&mut self, entry: IndexEntry, depth: u32) -> Result<(), IndexError> {
        let digest = &entry.descriptor.digest;
        let odd = |reason: String| IndexError::NotAnImage {
            origin: self.source.to_owned(),
            digest: digest.clone(),
            reason,
        };
        self.seen += 1;
        if self.seen > MOST_MANIFESTS || depth > DEEPEST {
            return Err(odd(format!(
                "it leads to more than {MOST_MANIFESTS} manifests, or nests too deeply"
            )));
        }
        if media_type::is_index(&entry.descriptor.media_type) {
            let index = Index::read(self.store, digest)?;
            return index.manifests.into_iter().try_for_each(|entry| self.take(entry, depth + 1));
        }
        let content = if let Some(Attested(of)) = attested(&entry.descriptor) {
            self.store.size(digest)?;
            PartContent::Attestation(of)
        } else {
            let kind = &entry.descriptor.media_type;
            if !media_type::is_manifest(kind) {
                return Err(odd(format!("its media type is {kind}")));
            }
            let platform = config_platform(self.store, digest)?.map_err(odd)?;
            if platform.os.is_empty() || platform.architecture.is_empty() {
                return Err(odd("its config names no platform".to_owned()));
            }
            PartContent::Image(platform)
        };
        self.parts.push(Part { source: self.source.to_owned(), entry, content });
        Ok(())
    }
}

/// What the config of an image says it is for, empty where the config is that of no image; or why the manifest is that
/// of no image.
fn config_platform(store: &Store, manifest: &Digest) -> Result<Result<EntryPlatform, String>, StoreError> {
    #[derive(Deserialize)]
    struct Manifest {
        config: Config,
    }
    #[derive(Deserialize)]
    struct Config {
        digest: Digest,
    }
    let Manifest { config } = match serde_json::from_slice(&store.read_document(manifest)?) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Err(error.to_string())),
    };
    // Configs of charts, modules and signatures are of any form.
    Ok(Ok(serde_json::from_slice(&store.read_document(&config.digest)?).unwrap_or_default()))
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;

//! Looks into an index where it is, without its layers and without believing it.

use std::path::PathBuf;

use polyarch_actors::Descriptor;

use super::{
    error::{IndexError, blocking},
    gather::{Indexes, Purpose, described},
    location::Location,
    tree::{Content, ImageFacts, Node, Outline, Tree, config_facts, outline, pointing},
};
use crate::{
    Receipt,
    oci::{
        LayoutReadError, Reference, StoreError, digest_of, index::IndexEntry, layout_has_blob,
        read_layout_manifest,
    },
    registry::{RegistryError, TransferCx},
};

/// How deep indexes may be nested.
const DEEPEST: u32 = 8;
/// The most manifests that one index may lead to.
const MOST_MANIFESTS: usize = 1000;

/// Where documents are read.
#[derive(Clone, Debug)]
enum Place {
    Store,
    Registry(Reference),
    Layout(PathBuf),
}

/// A document that is there, or why it is not to be had.
enum Read {
    Bytes(Vec<u8>),
    Missing,
    Odd(String),
}

impl Indexes {
    /// Reads an index or image with everything that its judgement needs: manifests and configs. What is missing or
    /// malformed below the first document is part of the answer.
    ///
    /// # Errors
    /// [`IndexError`] when the first document is not to be had, or a registry fails.
    pub async fn look(&self, location: &Location, cx: &TransferCx) -> Result<Tree, IndexError> {
        let _lease = self.store().lease()?;
        let (place, root, bytes) = self.first(location, cx).await?;
        let mut seen = 0;
        let entry = IndexEntry::without_platform(root);
        let root = self.node(&place, entry, Some(bytes.clone()), 0, &mut seen, cx).await?;
        if let Content::Malformed { reason } = &root.content {
            return Err(IndexError::NotAnImage {
                origin: location.to_string(),
                digest: root.entry.descriptor.digest.clone(),
                reason: reason.clone(),
            });
        }
        Ok(Tree { bytes, root })
    }

    async fn first(
        &self,
        location: &Location,
        cx: &TransferCx,
    ) -> Result<(Place, Descriptor, Vec<u8>), IndexError> {
        let stored = |root: Descriptor| {
            let bytes = self.store().read_document(&root.digest)?;
            Ok((Place::Store, root, bytes))
        };
        match location {
            Location::Stored(name) => stored(self.store().named(name)?.descriptor),
            Location::Digest(digest) if self.store().contains(digest) => {
                stored(described(self.store(), digest)?)
            }
            Location::Digest(digest) => Err(IndexError::UnknownDigest { digest: digest.clone() }),
            Location::Anywhere(name) if name.digest().is_none() => match self.store().named(name) {
                Ok(named) => stored(named.descriptor),
                Err(StoreError::UnknownName(_)) => self.first_of_registry(name, cx).await,
                Err(error) => Err(error.into()),
            },
            Location::Anywhere(name) | Location::Registry(name) => self.first_of_registry(name, cx).await,
            Location::Layout { folder, tag, digest } => {
                let (path, tag, digest) = (folder.clone(), tag.clone(), digest.clone());
                let read = move || Ok(read_layout_manifest(&path, tag.as_deref(), digest.as_ref())?);
                let (root, bytes) = blocking(read).await?;
                Ok((Place::Layout(folder.clone()), root, bytes))
            }
            Location::Receipt(path) => {
                let receipt = Receipt::read(path)?;
                if self.store().contains(&receipt.index.digest) {
                    return stored(receipt.index);
                }
                let gathered = self.gather(location, &Purpose::look(), cx).await?;
                stored(gathered.root)
            }
        }
    }

    async fn first_of_registry(
        &self,
        name: &Reference,
        cx: &TransferCx,
    ) -> Result<(Place, Descriptor, Vec<u8>), IndexError> {
        let manifest = self.client().manifest(name, cx).await?;
        Ok((Place::Registry(name.clone()), manifest.descriptor, manifest.bytes))
    }

    async fn node(
        &self,
        place: &Place,
        entry: IndexEntry,
        bytes: Option<Vec<u8>>,
        depth: u32,
        seen: &mut usize,
        cx: &TransferCx,
    ) -> Result<Node, IndexError> {
        *seen += 1;
        if depth > DEEPEST || *seen > MOST_MANIFESTS {
            let reason = format!("it leads to more than {MOST_MANIFESTS} manifests, or nests too deeply");
            return Ok(Node { entry, size: None, content: Content::Malformed { reason } });
        }
        let read = match bytes {
            Some(bytes) => Read::Bytes(bytes),
            None => self.read(place, &entry.descriptor, false, cx).await?,
        };
        let bytes = match read {
            Read::Bytes(bytes) => bytes,
            Read::Missing => return Ok(Node { entry, size: None, content: Content::Missing }),
            Read::Odd(reason) => {
                return Ok(Node { entry, size: None, content: Content::Malformed { reason } });
            }
        };
        let size = Some(bytes.len() as u64);
        let content = match outline(&entry, &bytes) {
            Err(reason) => Content::Malformed { reason },
            Ok(Outline::Attestation(of)) => Content::Attestation(of),
            Ok(Outline::Index(children)) => {
                let mut entries = Vec::new();
                for child in children {
                    entries.push(Box::pin(self.node(place, child, None, depth + 1, seen, cx)).await?);
                }
                Content::Index { entries }
            }
            Ok(Outline::Image { config, layers }) => {
                let facts = match self.read(place, &config, true, cx).await? {
                    Read::Bytes(bytes) => config_facts(&bytes).map_err(Some),
                    Read::Missing => Err(None),
                    Read::Odd(reason) => Err(Some(reason)),
                };
                Content::Image(Box::new(ImageFacts { config, facts, layers }))
            }
        };
        Ok(Node { entry, size, content })
    }

    async fn read(
        &self,
        place: &Place,
        what: &Descriptor,
        is_config: bool,
        cx: &TransferCx,
    ) -> Result<Read, IndexError> {
        match place {
            Place::Store => Ok(match self.store().read_document(&what.digest) {
                Ok(bytes) => Read::Bytes(bytes),
                Err(StoreError::Missing(_)) => Read::Missing,
                Err(error @ (StoreError::Corrupt { .. } | StoreError::TooLarge { .. })) => {
                    Read::Odd(error.to_string())
                }
                Err(error) => return Err(error.into()),
            }),
            Place::Registry(name) => {
                let read = if is_config {
                    let pulled = self.client().pull_blob(name, what, self.store(), cx).await;
                    pulled.and_then(|_| Ok(self.store().read_document(&what.digest)?))
                } else {
                    let reference = name.with_digest(what.digest.clone());
                    self.client().manifest(&reference, cx).await.map(|manifest| manifest.bytes)
                };
                match read {
                    Ok(bytes) => Ok(Read::Bytes(bytes)),
                    Err(RegistryError::NotFound { .. }) => Ok(Read::Missing),
                    Err(error @ RegistryError::Protocol { .. }) => Ok(Read::Odd(error.to_string())),
                    Err(error) => Err(error.into()),
                }
            }
            Place::Layout(folder) => {
                let (folder, digest) = (folder.clone(), what.digest.clone());
                blocking(move || {
                    let size = std::fs::metadata(folder.join("blobs/sha256").join(digest.hex()));
                    let there = size.map(|found| pointing("", digest.clone(), found.len()));
                    if !there.is_ok_and(|there| layout_has_blob(&folder, &there)) {
                        return Ok(Read::Missing);
                    }
                    Ok(match read_layout_manifest(&folder, None, Some(&digest)) {
                        Ok((_, bytes)) if digest_of(&bytes) == digest => Read::Bytes(bytes),
                        Ok(_) => Read::Missing,
                        Err(error @ (LayoutReadError::Malformed { .. } | LayoutReadError::Store(_))) => {
                            Read::Odd(error.to_string())
                        }
                        Err(error) => return Err(error.into()),
                    })
                })
                .await
            }
        }
    }
}

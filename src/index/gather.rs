//! Brings indexes and images into the store, wherever they are.

use std::path::Path;

use polyarch_actors::{Descriptor, Digest};
use serde::Deserialize;

use super::{
    append::Patience,
    error::{IndexError, blocking},
    location::Location,
    parts::{Part, parts_of},
};
use crate::{
    Receipt,
    images::Images,
    oci::{Reference, Store, StoreError, layout, media_type, read_layout},
    registry::{PullDepth, RegistryClient, RegistryError, TransferCx, pull},
};

/// What can be done with indexes of images that exist. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Indexes {
    pub(super) images: Images,
    pub(super) patience: Patience,
}

/// Something that is in the store now.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    pub(super) root: Descriptor,
    /// The repositories that have it too.
    pub(super) repositories: Vec<Reference>,
    /// Where it was fetched from, perhaps without its layers.
    pub(super) pulled: Option<Reference>,
}

/// What the images are needed for, which says how much of them.
pub(super) struct Purpose<'p> {
    /// The repositories that what is made goes to.
    pub(super) repositories: Vec<&'p Reference>,
    /// Whether it goes elsewhere too.
    pub(super) elsewhere: bool,
    /// Whether manifests and configs are enough, because nothing is published.
    pub(super) look: bool,
}

impl Purpose<'_> {
    /// To know what images are.
    pub(super) fn look() -> Self {
        Self { repositories: Vec::new(), elsewhere: false, look: true }
    }

    /// Layers stay where they are when what is made stays there too.
    fn depth(&self, origin: &Reference) -> PullDepth {
        let same = |target: &&Reference| target.name() == origin.name();
        if self.look || !self.elsewhere && self.repositories.iter().all(same) {
            PullDepth::ManifestsAndConfigs
        } else {
            PullDepth::Everything
        }
    }
}

impl Indexes {
    /// Indexes in and around the store of `images`.
    pub fn new(images: Images) -> Self {
        Self { images, patience: Patience::default() }
    }

    pub(super) fn store(&self) -> &Store {
        self.images.store()
    }

    pub(super) fn client(&self) -> &RegistryClient {
        self.images.client()
    }

    /// Brings something into the store.
    pub(super) async fn gather(
        &self,
        location: &Location,
        purpose: &Purpose<'_>,
        cx: &TransferCx,
    ) -> Result<Gathered, IndexError> {
        let here = |root| Gathered { root, repositories: Vec::new(), pulled: None };
        match location {
            Location::Receipt(path) => self.of_receipt(path, purpose, cx).await,
            Location::Digest(digest) => {
                if self.store().contains(digest) {
                    return Ok(here(described(self.store(), digest)?));
                }
                let [repository, ..] = purpose.repositories[..] else {
                    return Err(IndexError::UnknownDigest { digest: digest.clone() });
                };
                self.pulled(&repository.with_digest(digest.clone()), purpose, cx).await
            }
            Location::Stored(name) => Ok(here(self.store().named(name)?.descriptor)),
            Location::Anywhere(name) if name.digest().is_none() => match self.store().named(name) {
                Ok(named) => Ok(here(named.descriptor)),
                Err(StoreError::UnknownName(_)) => self.pulled(name, purpose, cx).await,
                Err(error) => Err(error.into()),
            },
            Location::Anywhere(name) | Location::Registry(name) => self.pulled(name, purpose, cx).await,
            Location::Layout { folder, tag, digest } => {
                let (store, folder) = (self.store().clone(), folder.clone());
                let (tag, digest) = (tag.clone(), digest.clone());
                let read = move || Ok(read_layout(&store, &folder, tag.as_deref(), digest.as_ref())?);
                Ok(here(blocking(read).await?))
            }
        }
    }

    /// The parts of something that is in the store now.
    pub(super) async fn parts(&self, root: &Descriptor, source: &str) -> Result<Vec<Part>, IndexError> {
        let (store, root, source) = (self.store().clone(), root.clone(), source.to_owned());
        blocking(move || parts_of(&store, &root, &source)).await
    }

    async fn pulled(
        &self,
        name: &Reference,
        purpose: &Purpose<'_>,
        cx: &TransferCx,
    ) -> Result<Gathered, IndexError> {
        let root = pull(self.client(), self.store(), name, purpose.depth(name), cx).await?;
        Ok(Gathered { root, repositories: vec![name.clone()], pulled: Some(name.clone()) })
    }

    /// What a build made: in the store, in a layout that it wrote, or where it was pushed to.
    async fn of_receipt(
        &self,
        path: &Path,
        purpose: &Purpose<'_>,
        cx: &TransferCx,
    ) -> Result<Gathered, IndexError> {
        let file = path.to_owned();
        let receipt = blocking(move || Ok(Receipt::read(&file)?)).await?;
        let repositories: Vec<Reference> =
            receipt.pushed.iter().map(|pushed| pushed.reference.with_digest(pushed.digest.clone())).collect();
        let (store, root) = (self.store().clone(), receipt.index.clone());
        if blocking(move || Ok(is_whole(&store, &root))).await? {
            return Ok(Gathered { root: receipt.index, repositories, pulled: None });
        }
        for folder in receipt.exported.into_iter().filter(|folder| folder.join("oci-layout").is_file()) {
            let (store, digest) = (self.store().clone(), receipt.index.digest.clone());
            let read = move || Ok(read_layout(&store, &folder, None, Some(&digest)));
            if let Ok(root) = blocking(read).await? {
                return Ok(Gathered { root, repositories: Vec::new(), pulled: None });
            }
        }
        let mut failed = None;
        for repository in &repositories {
            match self.pulled(repository, purpose, cx).await {
                Err(IndexError::Registry(RegistryError::NotFound { .. })) => {}
                Err(IndexError::Registry(error)) if !matches!(error, RegistryError::Cancelled) => {
                    failed.get_or_insert(error);
                }
                end => return end,
            }
        }
        // A registry that could not be asked may have it.
        Err(failed.map_or_else(
            || IndexError::Gone { receipt: path.to_owned(), digest: receipt.index.digest },
            IndexError::Registry,
        ))
    }
}

/// Whether something is in the store with all that it points at, or it is known where the rest is.
fn is_whole(store: &Store, root: &Descriptor) -> bool {
    let is_at_hand = |blob: &Digest| store.contains(blob) || store.origin(blob).is_some();
    layout::closure(store, root).is_ok_and(|blobs| blobs.iter().all(is_at_hand))
}

/// What points at a document of the store of which only the digest is known.
pub(super) fn described(store: &Store, digest: &Digest) -> Result<Descriptor, IndexError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Document {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let odd = |reason: String| IndexError::NotAnImage {
        origin: "the store".to_owned(),
        digest: digest.clone(),
        reason,
    };
    let bytes = match store.read_document(digest) {
        // Only a layer is as large.
        Err(StoreError::TooLarge { .. }) => return Err(odd("it is too large for a manifest".to_owned())),
        end => end?,
    };
    let document: Document = serde_json::from_slice(&bytes).map_err(|error| odd(error.to_string()))?;
    let media_type = match document {
        Document { manifests: Some(_), media_type, .. } => media_type.unwrap_or(media_type::INDEX.to_owned()),
        Document { layers: Some(_), media_type, .. } => media_type.unwrap_or(media_type::MANIFEST.to_owned()),
        _ => return Err(odd("it has neither layers nor manifests".to_owned())),
    };
    Ok(Descriptor {
        media_type,
        digest: digest.clone(),
        size: bytes.len() as u64,
        annotations: std::collections::BTreeMap::new(),
    })
}

//! Makes one index of several sources and publishes it.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::{Descriptor, Platform};

use super::{
    error::{IndexError, blocking},
    gather::{Indexes, Purpose},
    location::{Destination, Location},
    merge::merge,
    parts::{Part, PartContent},
};
use crate::{
    oci::{
        Reference, StoreError, add_to_layout,
        index::{Index, canonical},
        media_type,
    },
    registry::TransferCx,
};

/// What an index is made of, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// The sources, whose entries it lists in this order.
    pub sources: Vec<Location>,
    /// Where it goes.
    pub targets: Vec<Destination>,
    /// Whether what the targets have already stays, before the sources.
    pub append: bool,
    /// Whether a single source that is one image stays one image.
    pub keep_single: bool,
    /// What is said about the index and its entries.
    pub annotations: IndexAnnotations,
}

/// What is said about an index and its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexAnnotations {
    /// About the index.
    pub index: BTreeMap<String, String>,
    /// About the entries for a platform, or about all entries that are images.
    pub entries: Vec<(Option<Platform>, String, String)>,
}

/// What became of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The target.
    pub target: Destination,
    /// What it means now.
    pub root: Descriptor,
}

/// The sources of an index, all in the store.
struct Sources {
    parts: Vec<Part>,
    /// What the only source is.
    single: Option<Descriptor>,
    repositories: Vec<Reference>,
}

impl Indexes {
    /// Makes an index and publishes it. Names move last, when everything that they lead to is there.
    ///
    /// With `append`, a tag keeps what others add at the same time in the same way, as far as a registry without
    /// compare-and-swap allows: see [`IndexError::Late`] and [`IndexError::Contended`].
    pub async fn create(&self, creation: &Creation, cx: &TransferCx) -> Result<Vec<Merged>, IndexError> {
        let layout = creation.targets.iter().find_map(|target| match target {
            Destination::Layout { folder, .. } if creation.append => Some(folder.clone()),
            _ => None,
        });
        if let Some(folder) = layout {
            return Err(IndexError::AppendToLayout { folder });
        }
        let _lease = self.store().lease()?;
        let repositories: Vec<&Reference> =
            creation.targets.iter().filter_map(Destination::registry).collect();
        let elsewhere = repositories.len() < creation.targets.len();
        let sources = self.sources(creation, &Purpose { repositories, elsewhere, look: false }, cx).await?;
        if !creation.append {
            let root = self.saved(creation, &sources).await?;
            return self.put(&root, &creation.targets, &sources.repositories, cx).await;
        }
        let mut merged = Vec::new();
        for target in &creation.targets {
            let annotations = &creation.annotations.index;
            let root = match target {
                Destination::Registry(tag) => {
                    self.append(tag, &sources.parts, annotations, &sources.repositories, cx).await?
                }
                Destination::Stored(name) => self.append_stored(name, &sources.parts, annotations).await?,
                Destination::Layout { .. } => continue,
            };
            merged.push(Merged { target: target.clone(), root });
        }
        Ok(merged)
    }

    /// The bytes of the index that [`Indexes::create`] would publish first, which publishes nothing.
    pub async fn preview(&self, creation: &Creation, cx: &TransferCx) -> Result<Vec<u8>, IndexError> {
        let _lease = self.store().lease()?;
        let mut purpose = Purpose::look();
        purpose.repositories.extend(creation.targets.iter().filter_map(Destination::registry).take(1));
        let sources = self.sources(creation, &purpose, cx).await?;
        let root = match creation.targets.first().filter(|_| creation.append) {
            Some(Destination::Registry(tag)) => {
                let (base, mut parts, _) = self.held(tag, cx).await?;
                parts.extend(sources.parts);
                save(self, with_annotations(base, &creation.annotations.index), parts).await?
            }
            Some(Destination::Stored(name)) => {
                let (base, mut parts) = self.held_here(name)?;
                parts.extend(sources.parts);
                save(self, with_annotations(base, &creation.annotations.index), parts).await?
            }
            Some(Destination::Layout { .. }) | None => self.saved(creation, &sources).await?,
        };
        Ok(self.store().read_document(&root.digest)?)
    }

    /// Puts something of the store where it should be, names last.
    pub(super) async fn put(
        &self,
        root: &Descriptor,
        targets: &[Destination],
        repositories: &[Reference],
        cx: &TransferCx,
    ) -> Result<Vec<Merged>, IndexError> {
        let tags: Vec<Reference> = targets.iter().filter_map(Destination::registry).cloned().collect();
        if !tags.is_empty() {
            self.images.publish(root, &tags, repositories, cx).await?;
        }
        for target in targets {
            let (store, root, token) = (self.store().clone(), root.clone(), cx.cancel_token());
            match target.clone() {
                Destination::Registry(_) => {}
                Destination::Stored(name) => {
                    blocking(move || Ok(store.lock_names()?.set(&name, &root)?)).await?;
                }
                Destination::Layout { folder, tag } => {
                    self.images.complete(&root, false, cx).await?;
                    let write =
                        move || Ok(add_to_layout(&store, &root, &folder, &tag, &|| token.is_cancelled())?);
                    blocking(write).await?;
                }
            }
        }
        Ok(targets.iter().map(|target| Merged { target: target.clone(), root: root.clone() }).collect())
    }

    async fn sources(
        &self,
        creation: &Creation,
        purpose: &Purpose<'_>,
        cx: &TransferCx,
    ) -> Result<Sources, IndexError> {
        let mut sources = Sources { parts: Vec::new(), single: None, repositories: Vec::new() };
        let mut repositories = BTreeSet::new();
        for location in &creation.sources {
            let gathered = self.gather(location, purpose, cx).await?;
            sources.parts.extend(self.parts(&gathered.root, &location.to_string()).await?);
            sources.single = Some(gathered.root).filter(|_| creation.sources.len() == 1);
            repositories.extend(gathered.repositories);
        }
        sources.repositories = repositories.into_iter().collect();
        annotate(&mut sources.parts, &creation.annotations);
        Ok(sources)
    }

    /// The index of the sources, or the only source as it is where that says the same.
    async fn saved(&self, creation: &Creation, sources: &Sources) -> Result<Descriptor, IndexError> {
        let merged =
            merge(with_annotations(Index::default(), &creation.annotations.index), sources.parts.clone())?;
        if let Some(single) =
            sources.single.clone().filter(|_| creation.annotations == IndexAnnotations::default())
        {
            let is_kept = if media_type::is_index(&single.media_type) {
                Index::read(self.store(), &single.digest)?.manifests == merged.manifests
            } else {
                creation.keep_single
            };
            if is_kept {
                return Ok(single);
            }
        }
        let store = self.store().clone();
        blocking(move || Ok(merged.save(&store)?)).await
    }

    /// Adds entries to what a name of the store means, while nobody else can.
    async fn append_stored(
        &self,
        name: &Reference,
        parts: &[Part],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Descriptor, IndexError> {
        let (this, name, ours) = (self.clone(), name.clone(), parts.to_vec());
        let annotations = annotations.clone();
        blocking(move || {
            let names = this.store().lock_names()?;
            let (base, mut parts) = this.held_here(&name)?;
            parts.extend(ours);
            let root = merge(with_annotations(base, &annotations), parts)?.save(this.store())?;
            names.set(&name, &root)?;
            Ok(root)
        })
        .await
    }

    /// What a name of the store means, as something to be added to.
    fn held_here(&self, name: &Reference) -> Result<(Index, Vec<Part>), IndexError> {
        match self.store().named(name) {
            Ok(named) => self.base(&named.descriptor, &format!("store://{}", name.familiar())),
            Err(StoreError::UnknownName(_)) => Ok((Index::default(), Vec::new())),
            Err(error) => Err(error.into()),
        }
    }

    /// Something of the store as an index without entries, and its entries.
    pub(super) fn base(&self, root: &Descriptor, source: &str) -> Result<(Index, Vec<Part>), IndexError> {
        let parts = super::parts::parts_of(self.store(), root, source)?;
        if !media_type::is_index(&root.media_type) {
            return Ok((Index::default(), parts));
        }
        let mut index = Index::read(self.store(), &root.digest)?;
        index.manifests.clear();
        Ok((index, parts))
    }
}

async fn save(indexes: &Indexes, base: Index, parts: Vec<Part>) -> Result<Descriptor, IndexError> {
    let merged = merge(base, parts)?;
    let store = indexes.store().clone();
    blocking(move || Ok(merged.save(&store)?)).await
}

/// The same index with further annotations.
pub(super) fn with_annotations(mut index: Index, annotations: &BTreeMap<String, String>) -> Index {
    index.annotations.extend(annotations.clone());
    index
}

/// The bytes in which an index is published.
pub(super) fn bytes_of(index: &Index) -> Result<Vec<u8>, IndexError> {
    Ok(canonical(index, "the index")?)
}

fn annotate(parts: &mut [Part], annotations: &IndexAnnotations) {
    for part in parts {
        let PartContent::Image(config) = &part.content else { continue };
        let platform = config.to_platform();
        for (wanted, key, value) in &annotations.entries {
            let fits = wanted.as_ref().is_none_or(|wanted| {
                platform.as_ref().is_some_and(|platform| wanted.is_satisfied_by(platform))
            });
            if fits {
                part.entry.descriptor.annotations.insert(key.clone(), value.clone());
            }
        }
    }
}

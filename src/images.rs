//! Images of the store after they are built: names, manifest lists and publishing. The same for every backend.

use std::collections::BTreeMap;

use polyarch_actors::{Descriptor, Digest, Platform};
use serde::Deserialize;

use crate::{
    backend::hcs::StoredLayers,
    error::Error,
    oci::{
        Reference, Store, StoreError,
        index::{EntryPlatform, Index, IndexEntry},
        media_type,
    },
    prune::{self, PruneOptions, PruneReport, UsageReport},
    registry::{
        ClientOptions, Publication, PublishReport, PullDepth, RegistryClient, RegistryError, RetryLimits,
        TransferCx, complete, publish, pull,
    },
};

/// What can be done with images of one store.
#[derive(Clone, Debug)]
pub struct Images {
    store: Store,
    client: RegistryClient,
}

/// Where the image of a new index entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// In the store, or in its registry if the store does not have that name.
    Anywhere(Reference),
    /// In its registry, whatever the store has under that name.
    Registry(Reference),
}

/// What to say about an index entry beside what the image says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryChanges {
    /// Another CPU.
    pub arch: Option<String>,
    /// Another operating system.
    pub os: Option<String>,
    /// Another variant of the CPU.
    pub variant: Option<String>,
    /// Another build of the operating system.
    pub os_version: Option<String>,
    /// Further annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Images {
    /// Images of `store`, published and fetched as `options` say.
    pub fn new(store: Store, options: ClientOptions) -> Self {
        Self { store, client: RegistryClient::new(options) }
    }

    /// What talks to registries.
    pub(crate) fn client(&self) -> &RegistryClient {
        &self.client
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Gives what has the name `from` further names.
    pub fn tag(&self, from: &Reference, to: &[Reference]) -> Result<(), StoreError> {
        let names = self.store.lock_names()?;
        let image = self.store.named(from)?;
        to.iter().try_for_each(|name| names.set(name, &image.descriptor))
    }

    /// Publishes what has the name `from` under the names `to`.
    ///
    /// # Errors
    /// [`Error::Publish`] says of each name whether it was published.
    pub async fn push(
        &self,
        from: &Reference,
        to: &[Reference],
        cx: &TransferCx,
    ) -> Result<PublishReport, Error> {
        let _lease = self.store.lease()?;
        let image = self.store.named(from)?;
        self.publish(&image.descriptor, to, &[], cx).await
    }

    /// Fetches the layers of an image of the store that stayed in their registry; with `foreign`, those too that no
    /// registry may keep.
    pub(crate) async fn complete(
        &self,
        root: &Descriptor,
        foreign: bool,
        cx: &TransferCx,
    ) -> Result<(), RegistryError> {
        complete(&self.client, &self.store, &root.digest, foreign, cx).await
    }

    /// Publishes something of the store under the names `to`.
    pub(crate) async fn publish(
        &self,
        root: &Descriptor,
        to: &[Reference],
        sources: &[Reference],
        cx: &TransferCx,
    ) -> Result<PublishReport, Error> {
        let publication =
            Publication { root: root.digest.clone(), targets: to.to_vec(), sources: sources.to_vec() };
        let report = publish(&self.client, &self.store, &publication, cx).await?;
        if report.is_complete() { Ok(report) } else { Err(Error::Publish(report)) }
    }

    /// Makes sure that the registries of some names can be reached with the credentials at hand; [`quick`] limits
    /// suit it.
    pub(crate) async fn check_registries(
        &self,
        names: &[Reference],
        cx: &TransferCx,
    ) -> Result<(), RegistryError> {
        for name in names {
            match self.client.resolve(name, cx).await {
                // Registries deny or refuse to show a repository that the first push will make.
                Ok(_)
                | Err(
                    RegistryError::NotFound { .. }
                    | RegistryError::Denied { .. }
                    | RegistryError::Refused { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes an index of the images of some sources; the name appears when it is complete.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] when the name is in use.
    pub async fn create_index(
        &self,
        name: &Reference,
        sources: &[ImageSource],
        cx: &TransferCx,
    ) -> Result<Descriptor, Error> {
        let _lease = self.store.lease()?;
        check_free(&self.store, name)?;
        let mut roots = Vec::new();
        for source in sources {
            roots.push(self.locate(source, cx).await?);
        }
        let (store, name) = (self.store.clone(), name.clone());
        blocking(move || {
            let mut index = Index::default();
            for root in roots {
                entries_of(&store, &root)?.into_iter().try_for_each(|entry| index.add(entry))?;
            }
            let names = store.lock_names()?;
            check_free(&store, &name)?;
            let descriptor = index.save(&store)?;
            names.set(&name, &descriptor)?;
            Ok(descriptor)
        })
        .await
    }

    /// Adds the images of a source to an index: the image itself, or every image of an index.
    pub async fn add_to_index(
        &self,
        name: &Reference,
        source: &ImageSource,
        changes: &EntryChanges,
        cx: &TransferCx,
    ) -> Result<Descriptor, Error> {
        let _lease = self.store.lease()?;
        named_index(&self.store, name)?;
        let root = self.locate(source, cx).await?;
        let store = self.store.clone();
        let (name, changes) = (name.clone(), changes.clone());
        blocking(move || {
            let mut entries = entries_of(&store, &root)?;
            let single = entries.len() == 1;
            for entry in &mut entries {
                if single {
                    change(entry, &changes);
                } else {
                    entry.descriptor.annotations.extend(changes.annotations.clone());
                }
            }
            edit(&store, &name, |index| entries.into_iter().try_for_each(|entry| Ok(index.add(entry)?)))
        })
        .await
    }

    /// Changes what an index says about one of its entries, named by digest or by platform.
    pub fn annotate_entry(
        &self,
        name: &Reference,
        which: &EntryName,
        changes: &EntryChanges,
    ) -> Result<Descriptor, Error> {
        edit(&self.store, name, |index| {
            let found = index.manifests.iter_mut().find(|entry| which.means(entry));
            let entry = found
                .ok_or_else(|| StoreError::NoEntry { index: name.familiar(), entry: which.to_string() })?;
            change(entry, changes);
            // Two entries may now be for the same platform, which adding them again shows.
            std::mem::take(&mut index.manifests).into_iter().try_for_each(|entry| Ok(index.add(entry)?))
        })
    }

    /// What is in the store, and how much of it could go.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read, a damaged image with a name included.
    pub async fn usage(&self) -> Result<UsageReport, Error> {
        prune::usage(&self.store, StoredLayers::of_this_machine(&self.store)).await
    }

    /// Removes what builds have left and no name needs. Builds may run meanwhile, in this process and in others: what
    /// they use stays.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be read or a blob cannot be removed. What else could not be removed is
    /// in the report.
    pub async fn prune(&self, options: PruneOptions) -> Result<PruneReport, Error> {
        prune::prune(&self.store, StoredLayers::of_this_machine(&self.store), options).await
    }

    /// Removes a name.
    pub fn remove(&self, name: &Reference) -> Result<(), StoreError> {
        self.store.lock_names()?.remove(name)
    }

    /// Makes sure that the registries of sources that are not in the store can be reached.
    pub(crate) async fn check_sources(
        &self,
        sources: &[ImageSource],
        cx: &TransferCx,
    ) -> Result<(), RegistryError> {
        let fetched = sources.iter().filter_map(|source| match source {
            ImageSource::Anywhere(reference) if self.store.named(reference).is_ok() => None,
            ImageSource::Anywhere(reference) | ImageSource::Registry(reference) => Some(reference.clone()),
        });
        self.check_registries(&fetched.collect::<Vec<_>>(), cx).await
    }

    /// Finds an image in the store, or fetches it.
    async fn locate(&self, source: &ImageSource, cx: &TransferCx) -> Result<Descriptor, Error> {
        let reference = match source {
            ImageSource::Anywhere(reference) => match self.store.named(reference) {
                Ok(named) => return Ok(named.descriptor),
                Err(StoreError::UnknownName(_)) => reference,
                Err(error) => return Err(error.into()),
            },
            ImageSource::Registry(reference) => reference,
        };
        Ok(pull(&self.client, &self.store, reference, PullDepth::Everything, cx).await?)
    }
}

/// Which entry of an index is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryName {
    /// The one that points at this digest.
    Digest(Digest),
    /// The one for this platform.
    Platform(Platform),
}

impl EntryName {
    fn means(&self, entry: &IndexEntry) -> bool {
        match self {
            Self::Digest(digest) => entry.descriptor.digest == *digest,
            Self::Platform(platform) => {
                entry.platform.as_ref().and_then(EntryPlatform::to_platform).as_ref() == Some(platform)
            }
        }
    }
}

impl std::fmt::Display for EntryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Platform(platform) => platform.fmt(f),
        }
    }
}

/// The entries with which an index lists something: an image once, an index with all that it lists.
fn entries_of(store: &Store, root: &Descriptor) -> Result<Vec<IndexEntry>, StoreError> {
    if media_type::is_index(&root.media_type) {
        return Ok(Index::read(store, &root.digest)?.manifests);
    }
    let platform = image_platform(store, &root.digest)?;
    let mut entry = IndexEntry::without_platform(root.clone());
    entry.platform = Some(platform);
    Ok(vec![entry])
}

/// What the config of an image says it is for.
pub fn image_platform(store: &Store, manifest: &Digest) -> Result<EntryPlatform, StoreError> {
    #[derive(Deserialize)]
    struct Manifest {
        config: Config,
    }
    #[derive(Deserialize)]
    struct Config {
        digest: Digest,
    }
    let malformed = |what: &str, digest: &Digest, error: serde_json::Error| StoreError::Malformed {
        what: format!("the {what} {digest}"),
        reason: error.to_string(),
    };
    let Manifest { config } = serde_json::from_slice(&store.read_document(manifest)?)
        .map_err(|error| malformed("manifest", manifest, error))?;
    serde_json::from_slice(&store.read_document(&config.digest)?)
        .map_err(|error| malformed("config", &config.digest, error))
}

fn change(entry: &mut IndexEntry, changes: &EntryChanges) {
    let platform = entry.platform.get_or_insert_default();
    let replace = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    replace(&mut platform.architecture, &changes.arch);
    replace(&mut platform.os, &changes.os);
    platform.variant = changes.variant.clone().or(platform.variant.take());
    platform.os_version = changes.os_version.clone().or(platform.os_version.take());
    // Entries are compared by their normal form, so they are written in it.
    if let Some(normal) = platform.to_platform() {
        let features = std::mem::take(&mut platform.os_features);
        *platform = EntryPlatform { os_features: features, ..EntryPlatform::from(&normal) };
    }
    entry.descriptor.annotations.extend(changes.annotations.clone());
}

/// Reads an index, changes it and moves its name, while nobody else can.
fn edit(
    store: &Store,
    name: &Reference,
    change: impl FnOnce(&mut Index) -> Result<(), Error>,
) -> Result<Descriptor, Error> {
    let names = store.lock_names()?;
    let mut index = Index::read(store, &named_index(store, name)?)?;
    change(&mut index)?;
    let descriptor = index.save(store)?;
    names.set(name, &descriptor)?;
    Ok(descriptor)
}

/// What a name points at, which must be an index.
pub(crate) fn named_index(store: &Store, name: &Reference) -> Result<Digest, StoreError> {
    let descriptor = store.named(name)?.descriptor;
    if media_type::is_index(&descriptor.media_type) {
        Ok(descriptor.digest)
    } else {
        Err(StoreError::NoIndex(name.familiar()))
    }
}

/// Makes sure that nothing has a name.
fn check_free(store: &Store, name: &Reference) -> Result<(), StoreError> {
    match store.named(name) {
        Ok(_) => Err(StoreError::NameTaken(name.familiar())),
        Err(StoreError::UnknownName(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How long it is tried to reach registries before any work: a wrong name should be known soon.
pub(crate) fn quick() -> RetryLimits {
    RetryLimits { retries: 4, retries_of_one: 2, ..RetryLimits::default() }
}

/// Runs file work where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Gone { reason: error.to_string() })?
}

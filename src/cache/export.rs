//! Writing a cache: the steps of all platforms as one.

use std::collections::BTreeMap;

use polyarch_actors::{Descriptor, Digest, ImportedSteps, LayerSource};

use super::{
    document::Steps,
    error::CacheError,
    layers::{blocking, fetch},
    manifest,
    place::{CacheMode, CachePlace},
};
use crate::{
    oci::{Reference, Store, add_to_layout, layout_has_blob},
    registry::{Publication, RegistryClient, RegistryError, TransferCx, publish},
};

/// Writes caches of one build.
pub(crate) struct Exporter<'e> {
    pub(crate) store: &'e Store,
    pub(crate) client: &'e RegistryClient,
    pub(crate) cx: &'e TransferCx,
    /// What the steps of the platforms led to, documents in the store.
    pub(crate) steps: &'e [Descriptor],
    /// Where layers are that were never looked into, and so never fetched.
    pub(crate) imports: &'e [ImportedSteps],
    /// Repositories that may have some of the layers.
    pub(crate) sources: &'e [Reference],
}

impl Exporter<'_> {
    /// Writes a cache and returns how many steps are in it. Whoever reads the place sees the old cache or the new one.
    pub(crate) async fn export(&self, place: &CachePlace, mode: CacheMode) -> Result<usize, CacheError> {
        let mut steps = self.merged(mode).await?;
        let missing: Vec<Descriptor> = {
            let kept = steps.layers().filter(|layer| layer.kept && !self.store.contains(&layer.blob.digest));
            kept.map(|layer| layer.blob.clone()).collect()
        };
        let mut origins = None;
        for blob in missing {
            if self.is_at(place, &blob).await? {
                continue;
            }
            if origins.is_none() {
                origins = Some(self.origins().await?);
            }
            let origin = origins.as_ref().and_then(|origins| origins.get(&blob.digest));
            let fetched = match origin {
                Some(origin) => fetch(origin, &blob, self.store, self.client, self.cx).await,
                None => Err(CacheError::NoCache),
            };
            match fetched {
                Ok(()) => {}
                Err(error) if error.is_cancelled() => return Err(CacheError::Cancelled),
                // A cache without one of its layers is a cache all the same.
                Err(_) => {
                    let lost = steps.layers().filter(|layer| layer.blob.digest == blob.digest);
                    lost.for_each(|layer| layer.kept = false);
                }
            }
        }
        let (count, store) = (steps.steps.len(), self.store.clone());
        let root = blocking(move || manifest::write(&store, steps)).await?;
        match place {
            CachePlace::Registry(reference) => self.publish(&root, reference).await?,
            CachePlace::Directory { folder, tag } => {
                let (store, folder, tag) = (self.store.clone(), folder.clone(), tag.clone());
                let cancel = self.cx.cancel_token();
                let written =
                    blocking(move || add_to_layout(&store, &root, &folder, &tag, &|| cancel.is_cancelled()))
                        .await;
                if self.cx.cancelled() {
                    return Err(CacheError::Cancelled);
                }
                written?;
            }
        }
        Ok(count)
    }

    async fn merged(&self, mode: CacheMode) -> Result<Steps, CacheError> {
        let (store, documents) = (self.store.clone(), self.steps.to_vec());
        let mut all = blocking(move || {
            let mut all = Steps::default();
            for document in &documents {
                all.merge(Steps::load(&store, document)?);
            }
            Ok::<_, crate::oci::StoreError>(all)
        })
        .await?;
        if mode == CacheMode::Max {
            all.layers().for_each(|layer| layer.kept = true);
        }
        Ok(all)
    }

    /// Whether a layer is where the cache goes.
    async fn is_at(&self, place: &CachePlace, blob: &Descriptor) -> Result<bool, CacheError> {
        match place {
            CachePlace::Registry(reference) => Ok(self.client.has_blob(reference, blob, self.cx).await?),
            CachePlace::Directory { folder, .. } => Ok(layout_has_blob(folder, blob)),
        }
    }

    /// Where each imported layer is.
    async fn origins(&self) -> Result<BTreeMap<Digest, LayerSource>, CacheError> {
        let (store, imports) = (self.store.clone(), self.imports.to_vec());
        blocking(move || {
            let mut origins = BTreeMap::new();
            for ImportedSteps { steps, layers } in imports {
                let mut steps = Steps::load(&store, &steps)?;
                for layer in steps.layers().filter(|layer| layer.kept) {
                    origins.entry(layer.blob.digest.clone()).or_insert_with(|| layers.clone());
                }
            }
            Ok::<_, crate::oci::StoreError>(origins)
        })
        .await
    }

    async fn publish(&self, root: &Descriptor, reference: &Reference) -> Result<(), CacheError> {
        let publication = Publication {
            root: root.digest.clone(),
            targets: vec![reference.clone()],
            sources: self.sources.to_vec(),
        };
        let report = publish(self.client, self.store, &publication, self.cx).await?;
        let failed = report.targets.into_iter().find_map(|target| target.result.err());
        match failed {
            Some(error) if matches!(*error, RegistryError::Cancelled) => Err(CacheError::Cancelled),
            Some(error) => Err(CacheError::Registry(error)),
            None => Ok(()),
        }
    }
}

//! The caches of one build: read before it, written after it.

use polyarch_actors::{BuiltImage, Descriptor, EventKind, EventSink, ImportedSteps, Platform};

use crate::{
    cache::{CacheExport, CachePlace, Exporter, import},
    error::{Error, with_sources},
    images::{Images, quick},
    oci::{Reference, Store},
    prepare::Prepared,
    registry::{RegistryError, TransferCx},
    spec::BuildSpec,
};

/// The caches that a spec names.
pub(crate) struct Caches<'f> {
    pub(crate) spec: &'f BuildSpec,
    pub(crate) store: &'f Store,
    pub(crate) images: &'f Images,
    pub(crate) events: &'f EventSink,
    pub(crate) cx: TransferCx,
}

impl Caches<'_> {
    /// Makes sure that the registries can be reached to which caches must go: that should be known before hours of
    /// work, not after.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        for export in &self.spec.cache_to {
            let CacheExport::Separate { place, ignore_error: false, .. } = export else { continue };
            let CachePlace::Registry(reference) = place else { continue };
            let checked = self.images.check_registries(std::slice::from_ref(reference), &self.quick()).await;
            let place = place.to_string();
            checked.map_err(|source| Error::Cache { place, source: source.into() })?;
        }
        Ok(())
    }

    /// Reads the caches. One that is not to be had only means that steps are done.
    pub(crate) async fn import(&self, prepared: &Prepared) -> Result<Vec<ImportedSteps>, Error> {
        let platforms: Vec<Platform> =
            prepared.requests.iter().map(|request| request.platform.clone()).collect();
        let mut imports = Vec::new();
        for source in self.spec.caches_to_read() {
            let place = source.to_string();
            let client = self.images.client();
            match import(source, &platforms, self.store, client, &self.quick()).await {
                Ok((steps, count)) => {
                    self.events.emit(EventKind::CacheImported { place, steps: count });
                    imports.push(steps);
                }
                Err(error) if error.is_cancelled() => return Err(RegistryError::Cancelled.into()),
                Err(error) => {
                    let message = format!("the cache {place} is not used: {}", with_sources(&error));
                    self.events.emit(EventKind::Warned { message });
                }
            }
        }
        Ok(imports)
    }

    /// Writes the caches, each with the steps of all platforms.
    ///
    /// It comes after the outputs, so that nobody waits longer for an image than for its cache, and so that layers that
    /// were just pushed need only be linked. It comes before names move in the store, so that a build that fails moves
    /// none there, whatever it fails of.
    pub(crate) async fn export(
        &self,
        built: &[BuiltImage],
        imports: &[ImportedSteps],
        prepared: &Prepared,
    ) -> Result<(), Error> {
        let steps: Vec<Descriptor> = built.iter().filter_map(|image| image.steps.clone()).collect();
        let bases = prepared.requests.iter().flat_map(|request| &request.bases);
        let bases = bases.filter_map(|base| base.reference.parse::<Reference>().ok());
        let sources: Vec<Reference> = self.spec.tags.iter().cloned().chain(bases).collect();
        let exporter = Exporter {
            store: self.store,
            client: self.images.client(),
            cx: &self.cx,
            steps: &steps,
            imports,
            sources: &sources,
        };
        for export in &self.spec.cache_to {
            // An image that carries its cache has it since it was put into the index.
            let CacheExport::Separate { place, mode, ignore_error } = export else { continue };
            let written = exporter.export(place, *mode).await;
            let place = place.to_string();
            match written {
                Ok(steps) => self.events.emit(EventKind::CacheExported { place, steps }),
                Err(error) if *ignore_error && !error.is_cancelled() => {
                    let message = format!("the cache {place} was not written: {}", with_sources(&error));
                    self.events.emit(EventKind::Warned { message });
                }
                Err(source) => return Err(Error::Cache { place, source }),
            }
        }
        Ok(())
    }

    /// For what must not take long where it fails.
    fn quick(&self) -> TransferCx {
        TransferCx::new(self.cx.cancel_token(), quick(), |_| {})
    }
}

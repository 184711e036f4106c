//! Everything that is said about one image.

use polyarch_actors::{BuiltImage, Descriptor};

use super::{
    layers::layers,
    provenance::{Facts, predicate},
    statement::{SLSA, Statement, subjects},
    storage,
};
use crate::oci::{Store, StoreError, index::IndexEntry};

/// Stores what is asked to be said about an image with the manifest `manifest`, and gives the entry that an index has for it.
pub(crate) fn attest(
    store: &Store,
    facts: &Facts,
    image: &BuiltImage,
    manifest: &Descriptor,
) -> Result<Option<IndexEntry>, StoreError> {
    let asked = &facts.spec.attestations;
    if asked.is_empty() {
        return Ok(None);
    }
    let subjects = subjects(&facts.spec.names(), &image.platform, &manifest.digest);
    let mut statements = Vec::new();
    if let Some(asked) = &asked.provenance {
        let predicate = predicate(facts, asked, image, &layers(store, &image.manifest.digest)?);
        statements.push(Statement::new(SLSA, &subjects, predicate)?);
    }
    storage::save(store, &manifest.digest, &statements).map(Some)
}

//! Everything that is said about one image.

use polyarch_actors::{BuiltImage, Descriptor};
use tokio_util::sync::CancellationToken;

use super::{
    facts::Facts,
    layers::layers,
    provenance::predicate,
    sbom, spdx,
    statement::{Statement, subjects},
    storage,
};
use crate::{
    error::Error,
    oci::{Reference, Store, index::IndexEntry},
};

/// What became of the statements about an image.
#[derive(Debug)]
pub(crate) struct Said {
    /// The entry that an index has for them.
    pub(crate) entry: IndexEntry,
    /// The statements that go beside files too.
    pub(crate) statements: Vec<Statement>,
    /// What a person should know, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Stores what is asked to be said about an image with the manifest `manifest`; nothing where nothing is asked. It blocks.
pub(crate) fn attest(
    store: &Store,
    facts: &Facts,
    image: &BuiltImage,
    manifest: &Descriptor,
    cancel: &CancellationToken,
) -> Result<Option<Said>, Error> {
    let asked = &facts.spec.attestations;
    if asked.is_empty() {
        return Ok(None);
    }
    let names = facts.spec.names();
    let subjects = subjects(&names, &image.platform, &manifest.digest);
    let (mut statements, mut warnings) = (Vec::new(), Vec::new());
    if asked.sbom {
        let contents = sbom::contents(store, image, cancel)?;
        let told =
            contents.gaps.iter().map(|gap| format!("the list of packages of {}: {gap}", image.platform));
        warnings.extend(told);
        let created = sbom::created(store, image)?;
        let name = names.first().map_or_else(|| "_".to_owned(), Reference::familiar);
        let described = spdx::Image { name: &name, digest: &manifest.digest, created: &created };
        statements.push(Statement::packages(spdx::document(described, contents)));
    }
    if let Some(asked) = &asked.provenance {
        let predicate = predicate(facts, asked, image, &layers(store, &image.manifest.digest)?);
        statements.push(Statement::provenance(predicate));
    }
    let entry = storage::save(store, &manifest.digest, &subjects, &statements)?;
    let is_inline = asked.provenance.as_ref().is_some_and(|asked| asked.inline_only);
    statements.retain(|statement| !is_inline || !statement.is_provenance());
    Ok(Some(Said { entry, statements, warnings }))
}

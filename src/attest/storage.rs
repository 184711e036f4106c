//! Statements in the store: one manifest for those about one image.
//!
//! Source: BuildKit, `docs/attestations/attestation-storage.md`, `exporter/containerimage/writer.go`.

use std::collections::BTreeMap;

use polyarch_actors::{Descriptor, Digest};
use serde_json::{Value, json};

use super::statement::Statement;
use crate::{
    index::{REFERENCE_DIGEST, REFERENCE_TYPE},
    oci::{
        Store, StoreError,
        index::{EntryPlatform, IndexEntry, canonical},
        media_type,
    },
};

const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The annotation that says what kind of statement a layer is.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
/// What no machine is, so that nobody runs it.
const UNKNOWN: &str = "unknown";

/// Stores statements about an image, which `subjects` names, and gives the entry that an index has for them.
pub(super) fn save(
    store: &Store,
    image: &Digest,
    subjects: &Value,
    statements: &[Statement],
) -> Result<IndexEntry, StoreError> {
    let mut layers = Vec::new();
    for statement in statements {
        let bytes = statement.about(subjects)?;
        let digest = store.put(&bytes)?;
        layers.push(json!({
            "mediaType": IN_TOTO,
            "digest": digest,
            "size": bytes.len(),
            "annotations": {PREDICATE_TYPE: statement.predicate_type},
        }));
    }
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    let config = put(
        store,
        media_type::CONFIG,
        &json!({
            "architecture": UNKNOWN,
            "os": UNKNOWN,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }),
    )?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "config": config,
        "layers": layers,
    });
    let mut descriptor = put(store, media_type::MANIFEST, &manifest)?;
    descriptor.annotations = BTreeMap::from([
        (REFERENCE_TYPE.to_owned(), "attestation-manifest".to_owned()),
        (REFERENCE_DIGEST.to_owned(), image.to_string()),
    ]);
    let mut entry = IndexEntry::without_platform(descriptor);
    entry.platform = Some(EntryPlatform {
        architecture: UNKNOWN.to_owned(),
        os: UNKNOWN.to_owned(),
        ..EntryPlatform::default()
    });
    Ok(entry)
}

fn put(store: &Store, media_type: &str, document: &Value) -> Result<Descriptor, StoreError> {
    let bytes = canonical(document, "an attestation")?;
    let digest = store.put(&bytes)?;
    let (media_type, size) = (media_type.to_owned(), bytes.len() as u64);
    Ok(Descriptor { media_type, digest, size, annotations: BTreeMap::new() })
}

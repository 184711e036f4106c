//! What is said about an image, as in-toto has it.
//!
//! Source: in-toto attestation framework, `spec/v1/statement.md`.

use polyarch_actors::{Digest, Platform};
use serde_json::{Value, json};

use super::{purl, redact};
use crate::oci::{Reference, StoreError, index::canonical};

/// The kind of statement that says how something was built.
pub(super) const SLSA: &str = "https://slsa.dev/provenance/v1";

/// A statement as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// What kind of thing is said.
    pub(super) predicate_type: &'static str,
    /// The whole of it, as JSON.
    pub(super) bytes: Vec<u8>,
}

impl Statement {
    /// Says something about some subjects. No address in it has credentials.
    pub(super) fn new(
        predicate_type: &'static str,
        subjects: &Value,
        predicate: Value,
    ) -> Result<Self, StoreError> {
        let document = redact::document(json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": predicate_type,
            "predicate": predicate,
        }));
        Ok(Self { predicate_type, bytes: canonical(&document, "an attestation")? })
    }
}

/// An image under all its names; under `_` if it has none.
///
/// Source: BuildKit, `exporter/containerimage/writer.go`.
pub(super) fn subjects(names: &[Reference], platform: &Platform, manifest: &Digest) -> Value {
    let mut names: Vec<String> = names.iter().map(|name| purl::of_image(name, platform)).collect();
    if names.is_empty() {
        names.push("_".to_owned());
    }
    names.into_iter().map(|name| json!({"name": name, "digest": digest_set(manifest)})).collect()
}

/// A digest by its algorithm.
pub(super) fn digest_set(digest: &Digest) -> Value {
    json!({"sha256": digest.hex()})
}

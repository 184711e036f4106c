//! What is said about an image, as in-toto has it.
//!
//! Source: in-toto attestation framework, `spec/v1/statement.md`.

use polyarch_actors::{Digest, Platform};
use serde_json::{Value, json};

use super::{purl, redact};
use crate::oci::{Reference, StoreError, index::canonical};

/// The kind of statement that says how something was built.
const SLSA: &str = "https://slsa.dev/provenance/v1";
/// The kind of statement that lists packages.
const SPDX: &str = "https://spdx.dev/Document";

/// Something that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// What kind of thing is said.
    pub(super) predicate_type: &'static str,
    /// The name of the file that it has beside files.
    file_name: &'static str,
    predicate: Value,
}

impl Statement {
    /// How something was built.
    pub(super) fn provenance(predicate: Value) -> Self {
        Self { predicate_type: SLSA, file_name: "provenance.json", predicate }
    }

    /// Which packages are in something.
    pub(super) fn packages(predicate: Value) -> Self {
        Self { predicate_type: SPDX, file_name: "sbom.spdx.json", predicate }
    }

    /// Whether it says how something was built.
    pub(super) fn is_provenance(&self) -> bool {
        self.predicate_type == SLSA
    }

    /// The name of the file that it has beside files.
    pub(crate) fn file_name(&self) -> &'static str {
        self.file_name
    }

    /// The bytes of the statement about some subjects. No address in it has credentials.
    pub(crate) fn about(&self, subjects: &Value) -> Result<Vec<u8>, StoreError> {
        let document = redact::document(json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }));
        canonical(&document, "an attestation")
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

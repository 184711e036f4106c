//! Which attestations are asked for, as buildx writes it.
//!
//! Source: BuildKit, `docs/attestations/slsa-provenance.md`; buildx, `util/buildflags/attests.go`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is said about the images of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attestations {
    /// How they were built.
    pub provenance: Option<Provenance>,
    /// Whether the packages in them are listed.
    pub sbom: bool,
}

/// How much is said of how an image was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// How much.
    pub mode: ProvenanceMode,
    /// An address that says who builds; empty if nobody says so.
    pub builder: String,
    /// Whether whoever builds says that the same build gives the same bytes. Nothing of the moment of the build is in
    /// the statement then, as it is not with `SOURCE_DATE_EPOCH`.
    pub reproducible: bool,
    /// Whether it goes where images go alone, and not beside files in a folder or an archive.
    pub inline_only: bool,
}

/// How much is said of how an image was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvenanceMode {
    /// What it was built from, without build arguments, labels, and names of secrets.
    Min,
    /// These too, with the Dockerfile and its steps.
    #[default]
    Max,
}

/// Why an attestation cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// It has no type.
    #[error("the type of the attestation is missing (type=provenance or type=sbom)")]
    NoType,
    /// There is none of that type.
    #[error("{kind:?} is no type of attestation (provenance or sbom)")]
    UnknownType {
        /// The type.
        kind: String,
    },
    /// It is asked for twice.
    #[error("{kind} is asked for twice")]
    Twice {
        /// The type.
        kind: String,
    },
    /// A field is unknown, or has a value that means nothing.
    #[error("{field}={value:?} of {kind} is not supported: {reason}")]
    Field {
        /// The type.
        kind: String,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// What would be.
        reason: &'static str,
    },
}

impl Attestations {
    /// Reads what is asked for, each by its fields.
    pub fn read<'f>(
        asked: impl IntoIterator<Item = &'f BTreeMap<String, String>>,
    ) -> Result<Self, AttestationError> {
        let mut all = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for fields in asked {
            let kind = fields.get("type").map(String::as_str).ok_or(AttestationError::NoType)?;
            if seen.contains(&kind) {
                return Err(AttestationError::Twice { kind: kind.to_owned() });
            }
            seen.push(kind);
            let off = fields.get("disabled").map_or(Ok(false), |value| switch(kind, "disabled", value))?;
            match kind {
                "provenance" | "sbom" if off => {}
                "provenance" => all.provenance = Some(provenance(fields)?),
                "sbom" => all.sbom = sbom(fields)?,
                kind => return Err(AttestationError::UnknownType { kind: kind.to_owned() }),
            }
        }
        Ok(all)
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn provenance(fields: &BTreeMap<String, String>) -> Result<Provenance, AttestationError> {
    let kind = "provenance";
    let mut read = Provenance::default();
    for (field, value) in fields {
        match (field.as_str(), value.as_str()) {
            ("type" | "disabled", _) | ("version", "v1") => {}
            ("mode", "min") => read.mode = ProvenanceMode::Min,
            ("mode", "max" | "full") => read.mode = ProvenanceMode::Max,
            ("mode", _) => return Err(wrong(kind, field, value, "there are min and max")),
            ("builder-id", _) => read.builder.clone_from(value),
            ("reproducible", _) => read.reproducible = switch(kind, field, value)?,
            ("inline-only", _) => read.inline_only = switch(kind, field, value)?,
            ("version", _) => return Err(wrong(kind, field, value, "version v1 of SLSA is written")),
            _ => {
                let known = "there are mode, builder-id, reproducible, inline-only, version and disabled";
                return Err(wrong(kind, field, value, known));
            }
        }
    }
    Ok(read)
}

fn sbom(fields: &BTreeMap<String, String>) -> Result<bool, AttestationError> {
    for (field, value) in fields {
        match field.as_str() {
            "type" | "disabled" => {}
            "generator" => {
                let reason = "packages are listed without an image that scans";
                return Err(wrong("sbom", field, value, reason));
            }
            _ => return Err(wrong("sbom", field, value, "there is disabled")),
        }
    }
    Ok(true)
}

fn switch(kind: &str, field: &str, value: &str) -> Result<bool, AttestationError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(kind, field, value, "it is neither true nor false")),
    }
}

fn wrong(kind: &str, field: &str, value: &str, reason: &'static str) -> AttestationError {
    AttestationError::Field { kind: kind.into(), field: field.into(), value: value.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(asked: &[&str]) -> Result<Attestations, String> {
        let fields = |text: &&str| {
            let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        let asked: Vec<BTreeMap<String, String>> = asked.iter().map(fields).collect();
        Attestations::read(&asked).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_asked_for_is_read_as_buildx_writes_it() {
        assert!(read(&[]).expect("nothing").is_empty());
        let off = ["type=provenance,disabled=true,mode=max", "type=sbom,disabled=1"];
        assert!(read(&off).expect("declined").is_empty());
        assert!(read(&["type=sbom"]).expect("a list").sbom);
        let plain = read(&["type=provenance"]).expect("provenance").provenance;
        assert_eq!(plain, Some(Provenance::default()));
        let full =
            "type=provenance,mode=min,builder-id=https://ci/1,reproducible=true,inline-only=true,version=v1";
        let read = read(&[full]).expect("provenance").provenance.expect("asked for");
        assert_eq!((read.mode, read.builder.as_str()), (ProvenanceMode::Min, "https://ci/1"));
        assert!(read.reproducible && read.inline_only);
    }

    #[test]
    fn what_is_not_made_is_refused_with_what_would_be() {
        for (asked, reason) in [
            ("mode=max", "the type of the attestation is missing"),
            ("type=vex", "\"vex\" is no type of attestation"),
            ("type=provenance,mode=some", "there are min and max"),
            ("type=provenance,version=v0.2", "version v1 of SLSA"),
            ("type=provenance,filename=x", "there are mode, builder-id"),
            ("type=provenance,reproducible=perhaps", "neither true nor false"),
            ("type=sbom,generator=docker/scout-sbom-indexer", "without an image that scans"),
            ("type=sbom,mode=max", "there is disabled"),
        ] {
            let error = read(&[asked]).expect_err(asked);
            assert!(error.contains(reason), "{asked}: {error}");
        }
        let error = read(&["type=sbom", "type=sbom,disabled=true"]).expect_err("twice");
        assert_eq!(error, "sbom is asked for twice");
    }
}

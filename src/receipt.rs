//! The record of a finished build.

use std::path::PathBuf;

use polyarch_actors::{BuildId, BuiltImage, Descriptor, Digest, ProtocolVersion, Timestamp};
use serde::{Deserialize, Serialize};

use crate::oci::Reference;

/// What a finished build did: what was built by whom, and where it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of this form.
    pub version: ProtocolVersion,
    /// The build.
    pub build: BuildId,
    /// The index.
    pub index: Descriptor,
    /// Each platform in the requested order.
    pub images: Vec<BuiltImage>,
    /// The names in the store that point at the index.
    pub tags: Vec<Reference>,
    /// The references in registries that point at the index.
    pub pushed: Vec<PushedReference>,
    /// The files and directories that hold the index.
    pub exported: Vec<PathBuf>,
    /// When the build began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// A reference in a registry and what it points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedReference {
    /// The reference.
    pub reference: Reference,
    /// The digest of the index.
    pub digest: Digest,
}

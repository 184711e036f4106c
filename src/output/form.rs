//! What an output makes of the images before they go out.

use serde::{Deserialize, Serialize};

use crate::{oci::layer::Compression, spec::Annotation};

/// What an output makes of the images. By default, nothing.
///
/// Source: buildx, `docs/reference/buildx_build.md`; BuildKit, `exporter/containerimage/exptypes/keys.go`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageForm {
    /// How layers are stored that the build has made; as they are where it is not said.
    pub compression: Option<Compression>,
    /// Whether those of the base are stored in the same way. Without a `compression` that is gzip.
    pub force_compression: bool,
    /// Whose names the media types are.
    pub media_types: MediaTypes,
    /// Annotations beside those of the build.
    pub annotations: Vec<Annotation>,
    /// Whether nothing in a layer that the build has made may be later than `SOURCE_DATE_EPOCH`.
    pub rewrite_timestamp: bool,
}

/// Whose names media types are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaTypes {
    /// Those of the OCI image specification.
    #[default]
    Oci,
    /// Docker's, which are older. They have no annotations and no zstd.
    Docker,
}

impl ImageForm {
    /// How layers are stored, if they are not left as they are.
    pub(super) fn stored(&self) -> Option<Compression> {
        self.compression.or_else(|| self.force_compression.then(Compression::default))
    }

    /// Whether images stay as they are, their annotations aside.
    pub(super) fn changes_nothing(&self) -> bool {
        self.stored().is_none() && !self.rewrite_timestamp && self.media_types == MediaTypes::Oci
    }
}

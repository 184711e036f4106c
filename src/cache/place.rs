//! Where caches are.

use std::{fmt, path::PathBuf};

use polyarch_actors::Digest;
use serde::{Deserialize, Serialize};

use crate::oci::Reference;

/// Where a cache is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CacheSource {
    /// In a registry: a cache, or an image that carries the cache of its own build.
    Registry(Reference),
    /// In an OCI image layout.
    Directory {
        /// The directory.
        folder: PathBuf,
        /// The tag in it; `latest` if absent.
        tag: Option<String>,
        /// The digest of the cache's manifest, instead of a tag.
        digest: Option<Digest>,
    },
}

/// How a cache is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CacheExport {
    /// Into the image itself, with what [`CacheMode::Min`] keeps: the image has the layers already.
    Inline,
    /// Beside the image.
    Separate {
        /// Where.
        place: CachePlace,
        /// How much of it.
        mode: CacheMode,
        /// Whether a build whose cache cannot be written ends well all the same, with a warning.
        ignore_error: bool,
    },
}

/// Where a cache is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CachePlace {
    /// To a name in a registry.
    Registry(Reference),
    /// Into an OCI image layout, which is made where there is none. Other things in it stay as they are.
    Directory {
        /// The directory.
        folder: PathBuf,
        /// The tag in it.
        tag: String,
    },
}

/// Which layers a cache holds. What each step led to is in it always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMode {
    /// Those of the images: steps of other stages need not be done while nothing that they are made of changes.
    #[default]
    Min,
    /// Those of every step, so that a change costs only what it reaches.
    Max,
}

impl fmt::Display for CacheSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => f.pad(&reference.familiar()),
            Self::Directory { folder, .. } => f.pad(&folder.display().to_string()),
        }
    }
}

impl fmt::Display for CachePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => f.pad(&reference.familiar()),
            Self::Directory { folder, .. } => f.pad(&folder.display().to_string()),
        }
    }
}

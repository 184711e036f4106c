//! The record of a finished build.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use polyarch_actors::{
    BuildError, BuildId, BuiltImage, Descriptor, Digest, Platform, ProtocolVersion, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    oci::{LARGEST_DOCUMENT, Reference},
    timings::Timings,
    whole_file::write_whole,
};

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
    /// The optional platforms that the index lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingPlatform>,
    /// The names in the store that point at the index.
    pub tags: Vec<Reference>,
    /// The references in registries that point at the index.
    pub pushed: Vec<PushedReference>,
    /// The files and directories that outputs wrote, as absolute paths.
    pub exported: Vec<PathBuf>,
    /// When the build began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Where the time went; absent in receipts of versions that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

/// A platform without which the build succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPlatform {
    /// The platform as it was asked for.
    pub platform: Platform,
    /// Why it could not be built.
    pub error: BuildError,
}

/// Why a receipt cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read the receipt {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is something else, or of another version.
    #[error("{} is no receipt of polyarch build: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is odd about it.
        reason: String,
    },
}

impl Receipt {
    /// Writes the receipt into a file as JSON: at once, so that nobody reads half of one, unless the file is a pipe or a
    /// device.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_whole(path, &text)
    }

    /// Reads the receipt in a file, of at most 8 MiB.
    pub fn read(path: &Path) -> Result<Self, ReceiptError> {
        let unreadable = |source| ReceiptError::Unreadable { path: path.to_owned(), source };
        let mut text = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(LARGEST_DOCUMENT).read_to_end(&mut text).map_err(unreadable)?;
        serde_json::from_slice(&text)
            .map_err(|error| ReceiptError::Malformed { path: path.to_owned(), reason: error.to_string() })
    }
}

/// A reference in a registry and what it points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedReference {
    /// The reference.
    pub reference: Reference,
    /// The digest of the index.
    pub digest: Digest,
}

//! What a backend gives back.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{BackendId, Digest, Materials, Platform};

/// Points at content in the store.
///
/// Source: OCI image specification, `descriptor.md`; the platform stands beside it, in [`BuiltImage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The kind of content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Free words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// One finished platform: an image manifest that is in the store with everything it points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// The platform of the request, with the `os.version` of the image where it has one.
    pub platform: Platform,
    /// The image manifest.
    pub manifest: Descriptor,
    /// The digest of the image config, which Docker calls the image id.
    pub config: Digest,
    /// What the steps of the build led to, a document in the store; absent unless it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Descriptor>,
    /// How many of its layers, counted from the first, are those of the image that it is based on; absent where the
    /// backend does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub based: Option<usize>,
    /// What it is made of that is from elsewhere.
    #[serde(default, skip_serializing_if = "Materials::is_unknown")]
    pub materials: Materials,
    /// Who built it.
    pub backend: BackendId,
    /// Whether a step ran under emulation.
    pub emulated: bool,
    /// How often it was begun again after a fault of the host or the network.
    pub retries: u32,
    /// From the moment a slot was free to the moment the image was in the store.
    #[serde(with = "millis")]
    pub duration: Duration,
}

/// Durations as whole milliseconds.
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

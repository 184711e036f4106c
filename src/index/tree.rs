//! An index or image with everything below it that a judgement needs; whole or not, honest or not.

use std::collections::BTreeMap;

use polyarch_actors::{Descriptor, Digest};
use serde::Deserialize;

use super::parts::{Attested, attested};
use crate::oci::{
    index::{EntryPlatform, Index, IndexEntry},
    media_type,
};

/// An index or image as somebody names it.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The bytes of the index or image.
    pub bytes: Vec<u8>,
    /// What they say.
    pub root: Node,
}

/// One manifest.
#[derive(Clone, Debug)]
pub struct Node {
    /// What points at it.
    pub entry: IndexEntry,
    /// Its length in bytes; absent where it is not there.
    pub size: Option<u64>,
    /// What it is.
    pub content: Content,
}

/// What a manifest is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A list.
    Index {
        /// The entries.
        entries: Vec<Node>,
    },
    /// An image.
    Image(Box<ImageFacts>),
    /// Statements about the manifest with this digest, where it says a digest.
    Attestation(Option<Digest>),
    /// Not there.
    Missing,
    /// Something else.
    Malformed {
        /// What is odd about it.
        reason: String,
    },
}

/// What an image manifest says.
#[derive(Clone, Debug)]
pub struct ImageFacts {
    /// What points at the config.
    pub config: Descriptor,
    /// What the config says, or what is odd about it; nothing odd is known of one that is not there.
    pub facts: Result<ConfigFacts, Option<String>>,
    /// The layers, lowest first.
    pub layers: Vec<LayerFacts>,
}

/// What the config of an image says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFacts {
    /// What the image is for.
    pub platform: EntryPlatform,
    /// How many layers it has; absent where the config does not say.
    pub diff_ids: Option<usize>,
}

/// What a manifest says about a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFacts {
    /// Its kind.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Node {
    /// The bytes of the manifest, its config and its layers, or of all entries, as they are declared.
    pub fn total(&self) -> u64 {
        let below = match &self.content {
            Content::Index { entries } => entries.iter().map(Self::total).fold(0, u64::saturating_add),
            Content::Image(image) => {
                image.layers.iter().map(|layer| layer.size).fold(image.config.size, u64::saturating_add)
            }
            Content::Attestation(_) | Content::Missing | Content::Malformed { .. } => 0,
        };
        below.saturating_add(self.entry.descriptor.size)
    }

    /// What the manifest is for: as its entry says, or else its config.
    pub fn platform(&self) -> Option<EntryPlatform> {
        let config = match &self.content {
            Content::Image(image) => image.facts.as_ref().ok().map(|facts| facts.platform.clone()),
            _ => None,
        };
        self.entry.platform.clone().or(config)
    }
}

/// What a document says, before anybody has looked at what it points at.
pub(super) enum Outline {
    Index(Vec<IndexEntry>),
    Image { config: Descriptor, layers: Vec<LayerFacts> },
    Attestation(Option<Digest>),
}

/// Reads a document that an entry points at.
pub(super) fn outline(entry: &IndexEntry, bytes: &[u8]) -> Result<Outline, String> {
    #[derive(Deserialize)]
    struct Raw {
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<Descriptor>,
        layers: Option<Vec<LayerDescriptor>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct LayerDescriptor {
        media_type: String,
        size: u64,
    }
    if let Some(Attested(of)) = attested(&entry.descriptor) {
        return Ok(Outline::Attestation(of));
    }
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let is_index = media_type::is_index(&entry.descriptor.media_type);
    match (raw.manifests, raw.config, raw.layers) {
        (Some(_), None, None) if is_index => {
            let index: Index = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            Ok(Outline::Index(index.manifests))
        }
        (None, Some(config), Some(layers)) if media_type::is_manifest(&entry.descriptor.media_type) => {
            let facts =
                |layer: LayerDescriptor| LayerFacts { media_type: layer.media_type, size: layer.size };
            Ok(Outline::Image { config, layers: layers.into_iter().map(facts).collect() })
        }
        _ => Err(format!("its content is not what its media type {:?} says", entry.descriptor.media_type)),
    }
}

/// What a config says.
pub(super) fn config_facts(bytes: &[u8]) -> Result<ConfigFacts, String> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(flatten)]
        platform: EntryPlatform,
        rootfs: Option<RootFs>,
    }
    #[derive(Deserialize)]
    struct RootFs {
        diff_ids: Option<Vec<String>>,
    }
    let Raw { platform, rootfs } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(ConfigFacts { platform, diff_ids: rootfs.and_then(|rootfs| rootfs.diff_ids).map(|ids| ids.len()) })
}

/// What points at a document by its digest alone.
pub(super) fn pointing(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest, size, annotations: BTreeMap::new() }
}

//! Merges entries into one index: a pure decision, the same for every order in which machines finish.

use polyarch_actors::{Digest, Platform};

use super::{
    parts::{Part, PartContent},
    platform::{PlatformKey, completed, contradicts, is_unknown, written},
};
use crate::oci::{
    index::{EntryPlatform, Index, IndexEntry},
    media_type,
};

/// Why entries make no index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Two images are for the same machines.
    #[error("{one} and {other} have different images for {platform} ({one_digest} and {other_digest})")]
    Conflict {
        /// The platform.
        platform: String,
        /// The first source.
        one: String,
        /// Its image.
        one_digest: Digest,
        /// The second source.
        other: String,
        /// Its image.
        other_digest: Digest,
    },
    /// An entry says that its image is for other machines than it is.
    #[error("{origin} lists {digest} for {declared}, and the image's config says {config}")]
    WrongPlatform {
        /// The source.
        origin: String,
        /// The image.
        digest: Digest,
        /// What the entry says.
        declared: String,
        /// What the config says.
        config: String,
    },
    /// Statements are about an image that the index would not have.
    #[error("{origin} has the attestation {digest} of {subject}, which is in none of the sources")]
    Dangling {
        /// The source.
        origin: String,
        /// The attestation.
        digest: Digest,
        /// What it is about.
        subject: String,
    },
    /// Nothing in a source is for a platform.
    #[error("{origin} has no image for {platform}; it has {known}")]
    NoPlatform {
        /// The source.
        origin: String,
        /// The platform.
        platform: Platform,
        /// What there is.
        known: String,
    },
}

/// Puts parts into an index after what is in `base`, each once, in their order.
///
/// The platform of an entry is completed from the config of its image. The index is a Docker manifest list when all its
/// images are Docker's and it has no annotations, else an OCI index.
///
/// # Errors
/// [`MergeError`] where an entry lies about its image, two images are for the same machines, or an attestation is about
/// an image that is not there.
pub fn merge(base: Index, parts: Vec<Part>) -> Result<Index, MergeError> {
    let mut taken: Vec<Taken> = Vec::new();
    for part in parts {
        let part = checked(part)?;
        let same = |taken: &&mut Taken| {
            taken.part.entry.descriptor.digest == part.part.entry.descriptor.digest && taken.key == part.key
        };
        if let Some(known) = taken.iter_mut().find(same) {
            let annotations = &mut known.part.entry.descriptor.annotations;
            for (key, value) in part.part.entry.descriptor.annotations {
                annotations.entry(key).or_insert(value);
            }
            continue;
        }
        let clash =
            part.key.as_ref().and_then(|key| taken.iter().find(|taken| taken.key.as_ref() == Some(key)));
        if let Some(clash) = clash {
            let (one, other) = (&clash.part, &part.part);
            return Err(MergeError::Conflict {
                platform: other.entry.platform.as_ref().map(written).unwrap_or_default(),
                one: one.source.clone(),
                one_digest: one.entry.descriptor.digest.clone(),
                other: other.source.clone(),
                other_digest: other.entry.descriptor.digest.clone(),
            });
        }
        taken.push(part);
    }
    check_attestations(&taken)?;
    let mut index = base;
    index.manifests = taken.into_iter().map(|taken| taken.part.entry).collect();
    index.take_media_type_of_entries();
    Ok(index)
}

/// The entries for some platforms, with what is said about them.
///
/// # Errors
/// [`MergeError::NoPlatform`] when there is none for one of the platforms.
pub fn select(parts: Vec<Part>, platforms: &[Platform], source: &str) -> Result<Vec<Part>, MergeError> {
    let says = |part: &Part| match &part.content {
        PartContent::Image(config) => Some(completed(part.entry.platform.as_ref(), config)),
        PartContent::Attestation(_) => None,
    };
    let fits = |part: &Part, platform: &Platform| {
        let image = says(part).as_ref().and_then(EntryPlatform::to_platform);
        image.is_some_and(|image| platform.is_satisfied_by(&image))
    };
    for platform in platforms {
        if !parts.iter().any(|part| fits(part, platform)) {
            let known: Vec<String> =
                parts.iter().filter_map(says).map(|platform| written(&platform)).collect();
            return Err(MergeError::NoPlatform {
                origin: source.to_owned(),
                platform: platform.clone(),
                known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            });
        }
    }
    let is_chosen = |part: &Part| platforms.iter().any(|platform| fits(part, platform));
    let chosen: Vec<Digest> = parts
        .iter()
        .filter(|part| is_chosen(part))
        .map(|part| part.entry.descriptor.digest.clone())
        .collect();
    let keeps = |part: &Part| match &part.content {
        PartContent::Image(_) => is_chosen(part),
        PartContent::Attestation(of) => of.as_ref().is_some_and(|of| chosen.contains(of)),
    };
    Ok(parts.into_iter().filter(keeps).collect())
}

/// A part that is in the index, with what no other image may have.
struct Taken {
    part: Part,
    key: Option<PlatformKey>,
}

/// Compares what an entry says with what its image says, and completes it.
fn checked(mut part: Part) -> Result<Taken, MergeError> {
    let PartContent::Image(config) = &part.content else { return Ok(Taken { part, key: None }) };
    let declared = part.entry.platform.as_ref().filter(|platform| !is_unknown(platform));
    if let Some(declared) = declared.filter(|declared| contradicts(declared, config)) {
        return Err(MergeError::WrongPlatform {
            origin: part.source.clone(),
            digest: part.entry.descriptor.digest.clone(),
            declared: written(declared),
            config: written(config),
        });
    }
    let platform = completed(declared, config);
    let key = PlatformKey::of(&platform);
    part.entry.platform = Some(platform);
    Ok(Taken { part, key: Some(key) })
}

fn check_attestations(taken: &[Taken]) -> Result<(), MergeError> {
    for Taken { part, .. } in taken {
        let PartContent::Attestation(of) = &part.content else { continue };
        let is_there = |of: &Digest| {
            *of != part.entry.descriptor.digest
                && taken.iter().any(|other| other.part.entry.descriptor.digest == *of)
        };
        if !of.as_ref().is_some_and(is_there) {
            return Err(MergeError::Dangling {
                origin: part.source.clone(),
                digest: part.entry.descriptor.digest.clone(),
                subject: of.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string),
            });
        }
    }
    Ok(())
}

impl Index {
    /// Docker's older programs read a list of Docker's images only if it is Docker's too; no other list may be, because
    /// Docker's has no annotations.
    fn take_media_type_of_entries(&mut self) {
        let is_docker = |entry: &IndexEntry| {
            entry.descriptor.media_type == media_type::DOCKER_MANIFEST
                && entry.descriptor.annotations.is_empty()
        };
        let all =
            !self.manifests.is_empty() && self.annotations.is_empty() && self.manifests.iter().all(is_docker);
        let media_type = if all { media_type::DOCKER_INDEX } else { media_type::INDEX };
        media_type.clone_into(&mut self.media_type);
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;

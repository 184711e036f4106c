//! What became of a publication, name by name.

use std::sync::Arc;

use polyarch_actors::Digest;

use super::error::RegistryError;
use crate::oci::Reference;

/// What became of a publication: every target, in the order in which they were named.
#[derive(Debug)]
pub struct PublishReport {
    /// The digest of what was published.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// What became of each target.
    pub targets: Vec<Published>,
}

/// What became of one target.
#[derive(Debug)]
pub struct Published {
    /// The full name, with its tag.
    pub reference: Reference,
    /// Whether the name now means what was published. One failure may concern several targets.
    pub result: Result<(), Arc<RegistryError>>,
}

/// What a tag means after a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagState {
    /// What was published.
    Moved,
    /// What it meant before, or still nothing.
    AsBefore,
    /// One of the two: the registry was asked to move it, did not say whether it has, and could not be asked again.
    Unknown,
}

impl Published {
    /// What the name means now.
    pub fn state(&self) -> TagState {
        match self.result.as_ref().map_err(AsRef::as_ref) {
            Ok(()) => TagState::Moved,
            Err(RegistryError::Uncertain { .. }) => TagState::Unknown,
            Err(_) => TagState::AsBefore,
        }
    }
}

impl PublishReport {
    /// Whether every target now means what was published.
    pub fn is_complete(&self) -> bool {
        self.targets.iter().all(|target| target.result.is_ok())
    }
}

//! What there is only so much of, and how much of it an entry takes.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::Tenant;
use crate::{BackendId, Platform};

/// Something of which there is only so much.
///
/// In order from the narrowest to the widest: where an entry waits for several, the first is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Resource {
    /// What only one at a time may hold, by a name that its users agree on.
    Key(String),
    /// What one tenant runs at once.
    Tenant(Tenant),
    /// Disk, in bytes.
    Disk,
    /// Memory, in bytes.
    Memory,
    /// What is built for one platform at once.
    Platform(Platform),
    /// What one backend builds at once.
    Backend(BackendId),
    /// What runs at once in all.
    Slots,
}

impl Resource {
    /// Whether what there is of it comes and goes by itself, so that a limit says little about the next minute.
    pub(super) fn varies(&self) -> bool {
        matches!(self, Self::Memory | Self::Disk)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "the key {key:?}"),
            Self::Tenant(tenant) => write!(f, "slots of tenant {tenant}"),
            Self::Disk => f.write_str("bytes of disk"),
            Self::Memory => f.write_str("bytes of memory"),
            Self::Platform(platform) => write!(f, "slots for {platform}"),
            Self::Backend(backend) => write!(f, "slots of backend {backend}"),
            Self::Slots => f.write_str("slots"),
        }
    }
}

/// What an entry takes of each resource while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claims(BTreeMap<Resource, u64>);

impl Claims {
    /// The same, and this much of a resource. Nothing of it is no claim.
    #[must_use]
    pub fn with(mut self, resource: Resource, amount: u64) -> Self {
        if amount == 0 {
            self.0.remove(&resource);
        } else {
            self.0.insert(resource, amount);
        }
        self
    }

    /// How much of a resource.
    pub fn of(&self, resource: &Resource) -> u64 {
        self.0.get(resource).copied().unwrap_or(0)
    }

    /// Each resource and how much of it.
    pub fn iter(&self) -> impl Iterator<Item = (&Resource, u64)> {
        self.0.iter().map(|(resource, amount)| (resource, *amount))
    }
}

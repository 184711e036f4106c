//! On whose behalf a build fetches.

use serde::{Deserialize, Serialize};

/// On whose behalf, and so from where, a build fetches its contexts, what ADD names and images, and where it publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fetching {
    /// For the user of this machine: from whatever it reaches, with the keys of ssh that it has.
    #[default]
    Own,
    /// For somebody else who must not reach what only this machine does: by HTTP from public addresses, through no proxy
    /// of this machine, but for the registries in [`RegistryAccess::private`](crate::RegistryAccess::private).
    Public,
    /// For somebody else who may reach what this machine does: by HTTP.
    Anywhere,
}

impl Fetching {
    /// Whether it is for the user of this machine.
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

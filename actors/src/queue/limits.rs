//! How much there is of each resource.

use std::collections::BTreeMap;

use super::Resource;

/// How much there is of each resource. What is not named is without a limit, but for two kinds: every tenant has
/// the limit of [`Limits::each_tenant`], and only one at a time holds a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    each_tenant: Option<u64>,
    named: BTreeMap<Resource, u64>,
}

impl Limits {
    /// The same, with a limit for a resource.
    #[must_use]
    pub fn with(mut self, resource: Resource, limit: u64) -> Self {
        self.set(resource, Some(limit));
        self
    }

    /// The same, with a limit for each tenant that has none of its own.
    #[must_use]
    pub fn each_tenant(mut self, limit: u64) -> Self {
        self.each_tenant = Some(limit);
        self
    }

    /// Changes the limit of a resource, or takes it away.
    pub fn set(&mut self, resource: Resource, limit: Option<u64>) {
        match limit {
            Some(limit) => self.named.insert(resource, limit),
            None => self.named.remove(&resource),
        };
    }

    /// The limit of a resource.
    pub fn of(&self, resource: &Resource) -> Option<u64> {
        self.named.get(resource).copied().or(match resource {
            Resource::Tenant(_) => self.each_tenant,
            Resource::Key(_) => Some(1),
            _ => None,
        })
    }

    /// Each resource that has a limit of its own.
    pub fn iter(&self) -> impl Iterator<Item = (&Resource, u64)> {
        self.named.iter().map(|(resource, limit)| (resource, *limit))
    }
}

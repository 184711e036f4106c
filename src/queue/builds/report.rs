//! What waits and what runs, for whoever wants to see it.

use std::collections::BTreeMap;

use polyarch_actors::{
    BuildId, Timestamp,
    queue::{Counts, Place, Priority, Tenant},
};
use serde::{Deserialize, Serialize};

/// Which builds wait and run, of one tenant or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildsReport {
    /// The builds that wait, the next one first.
    pub waiting: Vec<WaitingBuild>,
    /// The builds that run.
    pub running: Vec<BuildId>,
    /// How much of each tenant waits and runs, for those that have anything here.
    pub tenants: BTreeMap<Tenant, Counts>,
}

/// How much waits and runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildsLoad {
    /// Of each tenant that has anything here.
    pub tenants: BTreeMap<Tenant, Counts>,
    /// When the build was submitted that waits for longest.
    pub oldest: Option<Timestamp>,
}

/// A build that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingBuild {
    /// The build.
    pub id: BuildId,
    /// Whose it is.
    pub tenant: Tenant,
    /// What goes first of that tenant.
    pub priority: Priority,
    /// Since when it waits.
    pub submitted: Timestamp,
    /// Where it is and what it waits for; not known yet in its first second.
    pub place: Option<Place>,
}

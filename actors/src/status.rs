//! What is going on now, readable from any thread without asking an actor.

use std::sync::Arc;

use dashmap::DashMap;
use serde::{Deserialize, Serialize};

use crate::{BackendId, BuildId, Platform, queue::Place};

/// The state of one platform of a live build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum PlatformState {
    /// Waits for its turn. The place is that of the last second.
    Queued(Place),
    /// A backend builds it.
    Running {
        /// The backend.
        backend: BackendId,
        /// How often it was begun before.
        retries: u32,
    },
    /// Waits to be tried again.
    BackingOff,
    /// The image is in the store.
    Built,
    /// It ended without an image.
    Failed,
}

/// The state of one live build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStatus {
    /// Each platform in the requested order.
    pub platforms: Vec<(Platform, PlatformState)>,
}

/// Every build that the supervisor has taken and not yet ended. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard {
    builds: Arc<DashMap<BuildId, BuildStatus>>,
}

impl StatusBoard {
    /// The state of one build; `None` once it has ended.
    pub fn get(&self, build: &BuildId) -> Option<BuildStatus> {
        self.builds.get(build).map(|status| status.clone())
    }

    /// All live builds, the oldest first.
    pub fn all(&self) -> Vec<(BuildId, BuildStatus)> {
        let entries = self.builds.iter().map(|entry| (entry.key().clone(), entry.value().clone()));
        let mut all: Vec<_> = entries.collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    pub(crate) fn insert(&self, build: BuildId, platforms: &[Platform]) {
        let queued = |platform: &Platform| (platform.clone(), PlatformState::Queued(Place::default()));
        self.builds.insert(build, BuildStatus { platforms: platforms.iter().map(queued).collect() });
    }

    pub(crate) fn set(&self, build: &BuildId, place: usize, state: PlatformState) {
        if let Some(mut status) = self.builds.get_mut(build)
            && let Some((_, current)) = status.platforms.get_mut(place)
        {
            *current = state;
        }
    }

    pub(crate) fn remove(&self, build: &BuildId) {
        self.builds.remove(build);
    }
}

//! What is told of a build without reading its spec.

use std::path::PathBuf;

use polyarch_actors::{BackendId, BuildEvent, EventKind, Platform};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{BuildSpec, ContextInput, oci::Reference, trace::TraceParent};

/// What a build is about, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its first tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where its context is: `git …`, `url …`, `path …`.
    pub context: String,
    /// The platforms that are asked for; none where it is this machine's.
    pub platforms: Vec<Platform>,
    /// The archive on this machine that it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<PathBuf>,
    /// The span of whoever submitted it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// The most memory that its steps may take together, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl About {
    /// What a spec says.
    pub fn of(spec: &BuildSpec) -> Self {
        Self {
            name: spec.tags.first().map(Reference::familiar),
            context: match &spec.context {
                ContextInput::Directory(path) | ContextInput::Enclosed(path) => {
                    format!("path {}", path.display())
                }
                ContextInput::Archive(path) => format!("archive {}", path.display()),
                ContextInput::Stdin => "stdin".into(),
                ContextInput::Git(source) => format!("git {source}"),
                ContextInput::Url(address) => format!("url {address}"),
            },
            platforms: spec.platforms.clone(),
            archive: match &spec.context {
                ContextInput::Archive(path) => Some(path.clone()),
                _ => None,
            },
            trace: None,
            memory: spec.resources.memory,
        }
    }
}

/// How far one platform of a build is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The platform.
    pub platform: Platform,
    /// How far.
    pub state: LaneState,
    /// The backend that builds it, or has built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendId>,
}

/// How far a platform is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LaneState {
    /// It waits.
    #[default]
    Queued,
    /// A backend builds it.
    Running,
    /// It waits to be tried again.
    BackingOff,
    /// It is in the store.
    Built,
    /// It ended without an image.
    Failed,
}

/// What events say of the platforms of a build.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Vec<Lane>);

impl Lanes {
    /// Those of a build that has not begun.
    pub(crate) fn waiting(platforms: &[Platform]) -> Self {
        let waiting = |platform: &Platform| Lane {
            platform: platform.clone(),
            state: LaneState::Queued,
            backend: None,
        };
        Self(platforms.iter().map(waiting).collect())
    }

    /// Takes in what happened.
    pub(crate) fn see(&mut self, event: &BuildEvent) {
        let Some(platform) = &event.platform else { return };
        let state = match &event.kind {
            EventKind::Routed { .. } | EventKind::Queued { .. } => LaneState::Queued,
            EventKind::Assigned { .. } => LaneState::Running,
            EventKind::Retried { .. } => LaneState::BackingOff,
            EventKind::ImageBuilt { .. } => LaneState::Built,
            EventKind::PlatformFailed { .. } => LaneState::Failed,
            _ => return,
        };
        let known = self.0.iter().position(|lane| lane.platform == *platform);
        let at = known.unwrap_or_else(|| {
            self.0.push(Lane { platform: platform.clone(), state, backend: None });
            self.0.len() - 1
        });
        self.0[at].state = state;
        if let EventKind::Routed { backend, .. } = &event.kind {
            self.0[at].backend = Some(backend.clone());
        }
    }

    pub(crate) fn get(&self) -> &[Lane] {
        &self.0
    }
}

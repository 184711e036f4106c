//! What a build can be, and what its submission may say about others and about time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Key;

/// What a build is at the moment. The last six are final, and each build gets exactly one of them, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    /// It waits.
    Queued,
    /// It was begun.
    Running,
    /// Its index is where it should be.
    Succeeded,
    /// It could not be built.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
    /// A newer build took its place before it began.
    Superseded,
    /// It took too long, or its deadline passed.
    TimedOut,
    /// What built it went away and it was not begun again.
    Lost,
}

impl BuildState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
        Self::TimedOut,
        Self::Lost,
    ];

    /// Whether it stays so for ever.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The state as text: `timed-out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::TimedOut => "timed-out",
            Self::Lost => "lost",
        }
    }

    /// The state that a text means.
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Which builds are about the same thing, and what a newer one of them means for the older ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supersede {
    /// What they have in common, within one tenant.
    pub key: Key,
    /// What this build means for the older ones.
    pub policy: SupersedePolicy,
}

/// What a build means for the older ones with the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Policy)]
pub enum SupersedePolicy {
    /// Nothing.
    #[default]
    Parallel,
    /// No two of them run together, but for those that are parallel.
    Serial,
    /// Those that wait end as superseded.
    LatestOnly,
    /// Those that wait end as superseded, and those that run are cancelled.
    CancelRunning,
}

impl SupersedePolicy {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::Parallel, Self::Serial, Self::LatestOnly, Self::CancelRunning];

    /// The policy as text: `latest-only`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Serial => "serial",
            Self::LatestOnly => "latest-only",
            Self::CancelRunning => "cancel-running",
        }
    }

    /// The policy that a text means.
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_policies_are_one_text_everywhere() {
        for state in BuildState::ALL {
            assert_eq!(serde_json::to_string(&state).expect("json"), format!("\"{}\"", state.as_str()));
            assert_eq!(BuildState::read(state.as_str()), Some(state));
        }
        for policy in SupersedePolicy::ALL {
            assert_eq!(serde_json::to_string(&policy).expect("json"), format!("\"{}\"", policy.as_str()));
            assert_eq!(SupersedePolicy::read(policy.as_str()), Some(policy));
        }
    }
}

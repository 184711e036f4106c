//! The words that counters are told apart by. There are only so many of each, whatever people ask for.

use polyarch_actors::{BackendId, BuildError, Fault, Platform};

use crate::queue::BuildState;

/// What tells the counters of a family apart.
pub(super) type Labels = Vec<(&'static str, String)>;

/// Every end of a build that there can be, so that each is counted from zero on.
pub(super) const ENDS: [(BuildState, Option<Fault>); 9] = [
    (BuildState::Succeeded, None),
    (BuildState::Failed, Some(Fault::User)),
    (BuildState::Failed, Some(Fault::Host)),
    (BuildState::Failed, Some(Fault::Registry)),
    (BuildState::Failed, Some(Fault::Policy)),
    (BuildState::Cancelled, Some(Fault::Cancelled)),
    (BuildState::Superseded, Some(Fault::Cancelled)),
    (BuildState::TimedOut, Some(Fault::Policy)),
    (BuildState::Lost, Some(Fault::Host)),
];

pub(super) fn end(state: BuildState, fault: Option<Fault>) -> Labels {
    let fault = fault.map_or("none", Fault::as_str);
    vec![("state", state.as_str().to_owned()), ("fault", fault.to_owned())]
}

pub(super) fn state(state: BuildState) -> Labels {
    vec![("state", state.as_str().to_owned())]
}

pub(super) fn backend(backend: Option<&BackendId>) -> Labels {
    vec![("backend", backend.map_or("none", BackendId::as_str).to_owned())]
}

pub(super) fn cache(is_hit: bool) -> Labels {
    vec![("cache", if is_hit { "hit" } else { "miss" }.to_owned())]
}

/// How a platform ended: that another one failed, or that somebody cancelled, is nobody's failure here.
pub(super) fn outcome(on: Option<&BackendId>, platform: &Platform, error: Option<&BuildError>) -> Labels {
    let outcome = match error {
        None => "built",
        Some(BuildError::Abandoned { .. }) => "stopped",
        Some(error) if error.fault() == Fault::Cancelled => "stopped",
        Some(_) => "failed",
    };
    let rest = [("platform", cpu(platform)), ("outcome", outcome.to_owned())];
    backend(on).into_iter().chain(rest).collect()
}

/// A platform without what anybody may write as they like: its variant, but that of ARM, and its version of Windows.
fn cpu(platform: &Platform) -> String {
    let (os, arch) = (platform.os(), platform.arch());
    match platform.variant() {
        Some(variant @ ("v5" | "v6" | "v7")) if arch == "arm" => format!("{os}/{arch}/{variant}"),
        _ => format!("{os}/{arch}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_into_a_platform_makes_no_new_series() {
        for (platform, label) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v99", "linux/arm"),
            ("windows(10.0.20348.1)/amd64", "windows/amd64"),
        ] {
            assert_eq!(cpu(&platform.parse().expect("a platform")), label);
        }
    }
}

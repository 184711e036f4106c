//! Which session runs the steps of Linux images on this kind of host.

use std::{path::PathBuf, sync::Arc};

use super::contract::SharedSession;
use crate::{archive::Limits, oci::Store};

/// That of Linux. `helper` is a program that calls [`init`](crate::init) first; this one if absent.
#[cfg(target_os = "linux")]
pub(crate) fn of_host(store: &Store, helper: Option<PathBuf>, limits: Limits) -> SharedSession {
    use super::linux::{LinuxSession, SessionOptions};
    Arc::new(LinuxSession::new(store.clone(), SessionOptions { helper, limits, snapshots: None }))
}

/// There is none: this system cannot execute programs for Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of_host(_: &Store, _: Option<PathBuf>, _: Limits) -> SharedSession {
    Arc::new(super::absent::NoSession::new(REASON, ways_out(cfg!(windows))))
}

/// Why a host that is not Linux runs no step.
#[cfg(any(not(target_os = "linux"), test))]
const REASON: &str = "this system executes no programs for Linux";

/// What a person can do on such a host.
#[cfg(any(not(target_os = "linux"), test))]
fn ways_out(windows: bool) -> &'static str {
    if windows {
        "Use buildah in WSL (--backend buildah-wsl), build on a machine with Linux, or build stages without RUN."
    } else {
        "Build in a virtual machine with Linux (podman machine init, podman machine start, and polyarch with buildah in \
         podman machine ssh), on a machine with Linux, or build stages without RUN."
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{NoSession, Session as _};

    #[tokio::test]
    async fn who_cannot_run_steps_hears_of_every_way_out() {
        for (windows, way) in [(true, "buildah in WSL"), (false, "podman machine")] {
            let unusable = NoSession::new(REASON, ways_out(windows)).probe().await.expect_err("nothing runs");
            assert!(unusable.reason.contains("no programs for Linux"));
            for way in [way, "a machine with Linux", "without RUN"] {
                assert!(unusable.advice.contains(way), "{}", unusable.advice);
            }
        }
    }
}

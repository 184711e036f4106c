//! Limits that all steps of a build share: the containers of buildah are below the control groups of the build.

use polyarch_actors::{BuildError, BuildId, BuildRequest};

use super::{
    command::Storage,
    machine::Machine,
    trial::{MOST, Trial, run_command},
    worker::Worker,
};
use crate::{
    guard::{Guard, GuardError},
    session::{Below, Hierarchies, Limits, SharedLimits},
};

/// A limit that all steps of a build share, in bytes, and a script that succeeds where that holds: it has less memory than
/// that, and no more.
const SHARED: u64 = 32 << 20;
const TAKES_TOO_MUCH: &str = "dd if=/dev/zero of=/dev/null bs=1000000 count=1 && \
                              ! dd if=/dev/zero of=/dev/null bs=100000000 count=1";

/// The groups of a build in which those of a worker's containers are; nothing where none are shared.
pub(super) fn groups(
    request: &BuildRequest,
    worker: &Worker,
    trial: &Trial,
) -> Result<Option<Below>, BuildError> {
    let shared = SharedLimits::of(&request.build, &request.resources).filter(|_| trial.shares);
    let Some(shared) = shared else { return Ok(None) };
    let below = Hierarchies::of_host().below(&shared, &worker.cgroup());
    match below.problems.first() {
        None => Ok(Some(below)),
        // It could be when that was tried out.
        Some((controller, error)) => {
            let reason = format!("the build cannot be limited: {controller}: {error}");
            Err(BuildError::Host { reason, retryable: false })
        }
    }
}

/// Finds out whether a step is held to the limit of its build, by taking more memory.
pub(super) async fn try_sharing(
    machine: &Machine,
    worker: &Worker,
    storage: &Storage,
    guard: &mut Guard,
) -> Result<bool, GuardError> {
    let limits = Limits { memory: Some(SHARED), ..Limits::default() };
    let shared = SharedLimits { build: BuildId::generate(), limits, required: false };
    let below = Hierarchies::of_host().below(&shared, &worker.cgroup());
    if !below.problems.is_empty() {
        return Ok(false);
    }
    let words = ["/bin/sh", "-c", TAKES_TOO_MUCH];
    let command = run_command(machine, worker, storage, "oci", below.path(), &words, &[]);
    let Ok(command) = command else { return Ok(false) };
    Ok(guard.output(&command, MOST).await?.0.code == Some(0))
}

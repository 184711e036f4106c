//! Flags of `buildah build` that say what is built, wherever it is, and what steps can be given with them.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::{BuildError, BuildRequest, Platform, StepNeed, StepNetwork};

use crate::session::{Limits, SharedLimits};

/// What RUN steps are given, with these limits.
pub(super) fn step_flags(request: &BuildRequest, limits: &Limits) -> Vec<String> {
    let steps = &request.steps;
    // RUN shares the network of the host, as in the native engine. A network of its own would leave a namespace,
    // addresses and firewall rules behind when the build is killed.
    let network = match steps.network {
        // Where no step runs, the isolation is one that has no network of its own.
        StepNetwork::None if !request.runs_on.is_empty() => "none",
        _ => "host",
    };
    let mut flags = vec![format!("--network={network}")];
    flags.extend(steps.add_hosts.iter().map(|host| format!("--add-host={}:{}", host.name, host.address)));
    flags.extend(steps.shm_size.map(|size| format!("--shm-size={size}")));
    flags.extend(limits.memory.map(|bytes| format!("--memory={bytes}")));
    if let Some(cpu) = limits.cpu_quota() {
        flags.extend([format!("--cpu-quota={}", cpu.quota), format!("--cpu-period={}", cpu.period)]);
    }
    flags.extend(steps.ulimits.iter().map(|(resource, limit)| format!("--ulimit={resource}={limit}")));
    flags
}

/// What limits each step is given: its own, and where its build is not held to those that it has, but steps can be, those
/// as well.
pub(super) fn step_limits(request: &BuildRequest, are_shared: bool, can_limit: bool) -> Limits {
    let own = Limits::of(&request.steps);
    let shared = SharedLimits::of(&request.build, &request.resources);
    let least = own.within(&shared.map(|shared| shared.limits).unwrap_or_default());
    match (are_shared, can_limit) {
        // Version 1 of control groups allows no group more CPU time than the one above it.
        (true, _) => Limits { millicpus: own.millicpus.and(least.millicpus), ..own },
        (false, true) => least,
        (false, false) => own,
    }
}

/// What steps can be given that have this isolation, which may hold them to limits or not.
pub(super) fn gives(isolation: Option<&str>, limits: bool) -> BTreeSet<StepNeed> {
    let mut gives = match isolation {
        // It has the host's /dev/shm, and no network of its own.
        None | Some("chroot") => BTreeSet::new(),
        // Without a network there is no /etc/hosts of its own either.
        Some(_) => BTreeSet::from([StepNeed::NoNetwork, StepNeed::ShmSize]),
    };
    if limits {
        gives.extend([StepNeed::MemoryLimit, StepNeed::CpuLimit]);
    }
    gives
}

/// The build arguments, with those about the building machine that buildah 1.28 leaves out.
pub(super) fn build_arguments(request: &BuildRequest, build_platform: &Platform) -> BTreeMap<String, String> {
    let variant = build_platform.variant().unwrap_or_default().to_owned();
    let mut arguments = BTreeMap::from([
        ("BUILDPLATFORM".to_owned(), build_platform.to_string()),
        ("BUILDOS".to_owned(), build_platform.os().to_string()),
        ("BUILDARCH".to_owned(), build_platform.arch().to_owned()),
        ("BUILDVARIANT".to_owned(), variant),
    ]);
    arguments.extend(request.build_args.clone());
    arguments
}

pub(super) fn no_comma(what: &str, id: &str) -> BuildError {
    BuildError::invalid(format!("the {what} {id:?} has a comma in its id or path, which buildah cannot take"))
}

#[cfg(test)]
mod tests {
    use polyarch_actors::{BuildId, BuildResources, ContextSource, DockerfileSource, StepOptions};

    use super::*;

    #[test]
    fn what_a_build_cannot_be_held_to_each_of_its_steps_is() {
        let file = DockerfileSource::new("Dockerfile", "");
        let context = ContextSource::Directory("/c".into());
        let platform = "linux/amd64".parse().expect("a platform");
        let mut request = BuildRequest::new(BuildId::generate(), platform, file, context);
        let of = |request: &BuildRequest, are_shared, can_limit| {
            let limits = step_limits(request, are_shared, can_limit);
            (limits.memory, limits.millicpus)
        };
        request.resources =
            BuildResources { memory: Some(8 << 20), millicpus: Some(500), ..BuildResources::default() };
        assert_eq!(of(&request, true, true), (None, None));
        assert_eq!(of(&request, false, true), (Some(8 << 20), Some(500)));
        assert_eq!(of(&request, false, false), (None, None));
        request.steps =
            StepOptions { memory: Some(16 << 20), millicpus: Some(900), ..StepOptions::default() };
        assert_eq!(of(&request, true, true), (Some(16 << 20), Some(500)));
        assert_eq!(of(&request, false, true), (Some(8 << 20), Some(500)));
    }
}

//! Flags of `buildah build` that say what is built, wherever it is, and what steps can be given with them.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_actors::{BuildError, BuildRequest, Platform, StepNeed, StepNetwork};

use crate::session::Limits;

/// What RUN steps are given.
pub(super) fn step_flags(request: &BuildRequest) -> Vec<String> {
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
    flags.extend(steps.memory.map(|bytes| format!("--memory={bytes}")));
    if let Some(cpu) = Limits::of(steps).cpu_quota() {
        flags.extend([format!("--cpu-quota={}", cpu.quota), format!("--cpu-period={}", cpu.period)]);
    }
    flags.extend(steps.ulimits.iter().map(|(resource, limit)| format!("--ulimit={resource}={limit}")));
    flags
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

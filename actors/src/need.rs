//! What a build asks of its steps and not every backend can give.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{BuildRequest, ImageOs, StepIsolation, StepNetwork};

/// Something that a build asks of its steps and not every backend can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepNeed {
    /// `RUN --security=insecure`.
    AllRights,
    /// `--network=none` for all steps.
    NoNetwork,
    /// `--add-host` for steps without a network.
    HostsWithoutNetwork,
    /// `--shm-size`.
    ShmSize,
    /// `--memory`.
    MemoryLimit,
    /// `--cpu-quota`.
    CpuLimit,
    /// `--pids-limit`.
    ProcessLimit,
    /// A limit of memory for all steps of a build together.
    SharedMemory,
    /// A limit of CPU time for all steps of a build together.
    SharedCpu,
    /// A limit of processes for all steps of a build together.
    SharedProcesses,
    /// `--isolation=process`.
    ProcessIsolation,
    /// `--isolation=hyperv`.
    HyperVIsolation,
}

impl StepNeed {
    /// What every Linux can give to its steps.
    pub const OF_LINUX: [Self; 4] =
        [Self::AllRights, Self::NoNetwork, Self::HostsWithoutNetwork, Self::ShmSize];

    /// What a request asks of its steps.
    pub fn of(request: &BuildRequest) -> BTreeSet<Self> {
        let steps = &request.steps;
        let offline = steps.network == StepNetwork::None;
        // Of several platforms, those that Windows runs are isolated.
        let on_windows = request.runs_on.iter().any(|platform| platform.os() == ImageOs::Windows);
        let isolated = |isolation| on_windows && steps.isolation == isolation;
        let asked = [
            (Self::AllRights, request.insecure),
            (Self::NoNetwork, offline),
            (Self::HostsWithoutNetwork, offline && !steps.add_hosts.is_empty()),
            (Self::ShmSize, steps.shm_size.is_some()),
            (Self::MemoryLimit, steps.memory.is_some()),
            (Self::CpuLimit, steps.millicpus.is_some()),
            (Self::ProcessLimit, steps.pids.is_some()),
            (Self::ProcessIsolation, isolated(StepIsolation::Process)),
            (Self::HyperVIsolation, isolated(StepIsolation::HyperV)),
        ];
        let asked = asked.into_iter().filter(|(_, asked)| *asked).map(|(need, _)| need);
        let shared = if request.resources.required { request.resources.needs() } else { BTreeSet::new() };
        asked.chain(shared.into_iter().map(|(shared, _)| shared)).collect()
    }
}

impl fmt::Display for StepNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AllRights => "a step all rights (RUN --security=insecure)",
            Self::NoNetwork => "steps no network (--network=none)",
            Self::HostsWithoutNetwork => {
                "steps names of hosts without a network (--add-host, --network=none)"
            }
            Self::ShmSize => "steps another size of /dev/shm (--shm-size)",
            Self::MemoryLimit => "steps a limit of memory (--memory)",
            Self::CpuLimit => "steps a limit of CPU time (--cpu-quota)",
            Self::ProcessLimit => "steps a limit of processes (--pids-limit)",
            Self::SharedMemory => "all steps of a build one limit of memory",
            Self::SharedCpu => "all steps of a build one limit of CPU time",
            Self::SharedProcesses => "all steps of a build one limit of processes",
            Self::ProcessIsolation => "steps a container that shares its kernel (--isolation=process)",
            Self::HyperVIsolation => "steps a virtual machine (--isolation=hyperv)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BuildId, ContextSource, DockerfileSource, HostEntry};

    #[test]
    fn a_request_needs_what_it_asks_for_and_nothing_else() {
        let file = DockerfileSource::new("Dockerfile", "");
        let platform = "linux/amd64".parse().expect("a platform");
        let context = ContextSource::Directory("/c".into());
        let mut request = BuildRequest::new(BuildId::generate(), platform, file, context);
        request.steps.add_hosts = HostEntry::read("db:10.0.0.1").expect("a host");
        assert!(StepNeed::of(&request).is_empty());
        request.steps.network = StepNetwork::None;
        request.steps.shm_size = Some(1);
        request.insecure = true;
        assert_eq!(StepNeed::of(&request), StepNeed::OF_LINUX.into());
        request.insecure = false;
        request.steps = crate::StepOptions {
            memory: Some(1),
            millicpus: Some(1),
            pids: Some(1),
            ..crate::StepOptions::default()
        };
        let limits = [StepNeed::MemoryLimit, StepNeed::CpuLimit, StepNeed::ProcessLimit];
        assert_eq!(StepNeed::of(&request), limits.into());
        request.steps = crate::StepOptions::default();
        request.resources = crate::BuildResources { memory: Some(1), pids: Some(1), ..Default::default() };
        assert!(StepNeed::of(&request).is_empty(), "it is only wished");
        request.resources.required = true;
        assert_eq!(StepNeed::of(&request), [StepNeed::SharedMemory, StepNeed::SharedProcesses].into());
        request.resources = crate::BuildResources::default();
        request.steps = crate::StepOptions { isolation: StepIsolation::HyperV, ..Default::default() };
        assert!(StepNeed::of(&request).is_empty(), "nothing runs on Windows");
        request.runs_on =
            ["linux/amd64", "windows/amd64"].iter().filter_map(|one| one.parse().ok()).collect();
        assert_eq!(StepNeed::of(&request), [StepNeed::HyperVIsolation].into());
    }
}

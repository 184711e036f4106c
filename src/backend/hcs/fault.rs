//! What the numbers mean that Windows gives for a call that failed, who can do something about it, and what.
//!
//! Sources: Microsoft, "System Error Codes" and "HCS error codes"
//! (<https://learn.microsoft.com/virtualization/api/hcs/reference/hcshresult>), "HCN Error Code"
//! (<https://learn.microsoft.com/virtualization/api/hcn/reference/hcnerrorcode>).

use polyarch_actors::BuildError;

pub(super) use super::code;
use super::error::HcsError;

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// What is wrong, a fragment.
    pub what: &'static str,
    /// What to enable or change, a sentence; empty where nothing is known.
    pub advice: &'static str,
    /// What kind of thing it is.
    pub kind: FaultKind,
}

/// What kind of failure a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// This machine cannot do it until somebody changes something about it.
    Machine,
    /// It may work when it is tried again.
    Passing,
    /// There is no room.
    Full,
    /// The command of the step, or the image, asks for what is not there.
    Step,
    /// A mistake of whoever calls.
    Mistake,
}

const CONTAINERS: &str = "Enable the feature with Enable-WindowsOptionalFeature -Online -FeatureName Containers -All, \
                          and restart Windows.";
const HYPERV: &str = "Enable the feature with Enable-WindowsOptionalFeature -Online -FeatureName Microsoft-Hyper-V -All \
                      and virtualisation in the firmware, or use --isolation=process.";
const ADMINISTRATOR: &str = "Run the command as an administrator, whose rights include \"Back up files\" and \"Restore \
                             files\".";
const SERVICE: &str = "Look whether the service vmcompute (Hyper-V Host Compute Service) runs, with Get-Service \
                       vmcompute, and restart it.";
const OTHERS: &str = "Exclude the store from virus scanners and indexers.";
const VERSION: &str =
    "Use a base whose version is that of this machine (see winver), or --isolation=hyperv for an older one.";
const MEMORY: &str = "Run fewer builds at once.";
const NETWORKS: &str = "Look at it with Get-HnsNetwork, and restart the service hns (Host Network Service), or build with \
                        --network=none.";

/// The call that begins the command of a step.
pub(super) const STARTS: &str = "HcsCreateProcess";

/// What a number means; absent for one that nobody has described.
pub fn meaning(number: u32) -> Option<Meaning> {
    use FaultKind::{Full, Machine, Mistake, Passing, Step};
    let (what, advice, kind) = match number {
        code::MODULE_NOT_FOUND => {
            ("the libraries of Windows for containers are not there", CONTAINERS, Machine)
        }
        code::PROCEDURE_NOT_FOUND => (
            "this Windows is too old for its containers to be used",
            "Use Windows Server 2019, Windows 10 1809, or a newer one.",
            Machine,
        ),
        code::NOT_SUPPORTED => ("the feature Containers is off", CONTAINERS, Machine),
        code::HYPERV_NOT_INSTALLED => {
            ("a virtual machine cannot be started, because Hyper-V is off", HYPERV, Machine)
        }
        code::SERVICE_NOT_AVAILABLE => {
            ("the service for containers is not there, because a feature is off", CONTAINERS, Machine)
        }
        code::IMAGE_MISMATCH | 0xC037_0101 => {
            ("the version of the base does not fit that of this Windows", VERSION, Machine)
        }
        code::ACCESS_DENIED | code::HCS_ACCESS_DENIED => {
            ("Windows denies the access", ADMINISTRATOR, Machine)
        }
        code::PRIVILEGE_NOT_HELD => {
            ("this user may not write files with their rights", ADMINISTRATOR, Machine)
        }
        code::DISK_FULL | code::HANDLE_DISK_FULL => {
            ("the disk is full", "Make room on the disk of the store.", Full)
        }
        code::SHARING_VIOLATION => ("another program uses the file or the layer", OTHERS, Passing),
        code::NOT_READY => ("the disk of a layer is not ready yet", OTHERS, Passing),
        code::DEVICE_NOT_CONNECTED => ("the disk of a layer is not connected yet", OTHERS, Passing),
        code::TIMEOUT | code::OPERATION_TIMEOUT => ("Windows did not answer in time", MEMORY, Passing),
        code::CONNECTION_TIMEOUT | code::CONNECT_FAILED => {
            ("the virtual machine of a step did not answer in time", MEMORY, Passing)
        }
        code::CONNECTION_CLOSED => ("the virtual machine of a step has ended", MEMORY, Passing),
        code::SERVICE_GONE | code::SERVICE_DISCONNECT => {
            ("the service for containers has stopped", SERVICE, Passing)
        }
        code::UNEXPECTED_EXIT | code::TERMINATED | code::TERMINATED_DURING_START => {
            ("the container ended before its command did", MEMORY, Passing)
        }
        code::OUT_OF_MEMORY | code::NO_RESOURCES => ("Windows has not enough memory", MEMORY, Passing),
        code::FILE_NOT_FOUND | code::PATH_NOT_FOUND => ("a file or program is not there", "", Step),
        code::NO_DIRECTORY => (
            "the working directory is not there, or is no directory",
            "Make it with WORKDIR before the step.",
            Step,
        ),
        code::SYSTEM_NOT_FOUND => ("the container is not there any more", SERVICE, Passing),
        code::SYSTEM_EXISTS => ("there is a container with that name already", "", Mistake),
        code::ALREADY_STOPPED => ("the container has stopped already", "", Passing),
        code::INVALID_STATE => ("the container is in no state for that", "", Mistake),
        code::INVALID_JSON => ("Windows does not understand the description of the container", "", Mistake),
        code::INVALID_LAYER => (
            "a layer below the container is not what it should be",
            "Remove backends\\hcs\\layers in the store, and build again.",
            Machine,
        ),
        code::NOT_CONFIGURED => ("the container was not set up for that", "", Mistake),
        number => return of_networks(number),
    };
    Some(Meaning { what, advice, kind })
}

/// What a number of the Host Compute Network means.
fn of_networks(number: u32) -> Option<Meaning> {
    use FaultKind::{Machine, Mistake, Passing};
    let (what, advice, kind) = match number {
        code::NETWORK_NOT_FOUND => ("the network for containers is not there any more", NETWORKS, Machine),
        code::NETWORK_LAYER_NOT_FOUND
        | code::SWITCH_NOT_FOUND
        | code::SUBNET_NOT_FOUND
        | code::ADAPTER_NOT_FOUND
        | code::INVALID_NETWORK
        | code::DEGRADED => ("the network for containers is not whole", NETWORKS, Machine),
        code::REQUEST_UNSUPPORTED => {
            ("the network for containers does not do what it was asked for", NETWORKS, Machine)
        }
        code::SHARING_DISABLED => (
            "the network for containers needs a service that is disabled",
            "Enable the service SharedAccess (Internet Connection Sharing).",
            Machine,
        ),
        code::ELEMENT_NOT_FOUND | code::ENDPOINT_NOT_FOUND => {
            ("what connects the container with its network is not there any more", NETWORKS, Passing)
        }
        code::NETWORK_SERVICE_STOPPED => ("the service for networks of containers stops", NETWORKS, Passing),
        code::ADAPTER_TIMEOUT | code::NAMESPACE_ATTACH_FAILED => {
            ("the container could not be connected with its network", NETWORKS, Passing)
        }
        code::HAS_REFERENCES => {
            ("what connects a container with its network is still in use", NETWORKS, Passing)
        }
        code::ENDPOINT_ATTACHED | code::ENDPOINT_HAS_NAMESPACE => {
            ("what connects a container with its network belongs to another one", "", Mistake)
        }
        code::INVALID_ENDPOINT => {
            ("the network for containers does not have what it was asked for", NETWORKS, Machine)
        }
        code::NETWORK_JSON => ("a description of a network is not understood", "", Mistake),
        _ => return None,
    };
    Some(Meaning { what, advice, kind })
}

impl HcsError {
    /// What is wrong and what to do, in one fragment that keeps the call and its number.
    pub fn explained(&self) -> String {
        match meaning(self.code) {
            None => self.to_string(),
            Some(Meaning { what, advice: "", .. }) => format!("{what} ({self})"),
            Some(Meaning { what, advice, .. }) => {
                format!("{what} ({self}). {}", advice.trim_end_matches('.'))
            }
        }
    }

    /// Whether the same call may work later.
    pub fn is_passing(&self) -> bool {
        meaning(self.code).is_some_and(|meaning| meaning.kind == FaultKind::Passing)
    }

    /// What the orchestrator is told; `path` is on the disk that may be full.
    pub fn to_build_error(&self, path: &std::path::Path) -> BuildError {
        match meaning(self.code).map(|meaning| meaning.kind) {
            Some(FaultKind::Full) => BuildError::NoSpace { path: path.display().to_string() },
            Some(FaultKind::Step) if self.call == STARTS => BuildError::invalid(self.explained()),
            _ => BuildError::Host { reason: self.explained(), retryable: self.is_passing() },
        }
    }
}

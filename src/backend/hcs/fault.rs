//! What the numbers mean that Windows gives for a call that failed, who can do something about it, and what.
//!
//! Sources: Microsoft, "System Error Codes" and "HCS error codes"
//! (<https://learn.microsoft.com/virtualization/api/hcs/reference/hcshresult>).

use polyarch_actors::BuildError;

use super::error::HcsError;

/// The numbers that somebody asks for by name.
pub(super) mod code {
    /// `HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)`.
    pub(crate) const FILE_NOT_FOUND: u32 = 0x8007_0002;
    /// `HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND)`.
    pub(crate) const PATH_NOT_FOUND: u32 = 0x8007_0003;
    /// `E_ACCESSDENIED`.
    pub(crate) const ACCESS_DENIED: u32 = 0x8007_0005;
    /// `HRESULT_FROM_WIN32(ERROR_NOT_READY)`.
    pub(crate) const NOT_READY: u32 = 0x8007_0015;
    /// `HRESULT_FROM_WIN32(ERROR_SHARING_VIOLATION)`.
    pub(crate) const SHARING_VIOLATION: u32 = 0x8007_0020;
    /// `HRESULT_FROM_WIN32(ERROR_HANDLE_DISK_FULL)`.
    pub(crate) const HANDLE_DISK_FULL: u32 = 0x8007_0027;
    /// `HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)`.
    pub(crate) const NOT_SUPPORTED: u32 = 0x8007_0032;
    /// `HRESULT_FROM_WIN32(ERROR_DISK_FULL)`.
    pub(crate) const DISK_FULL: u32 = 0x8007_0070;
    /// `HRESULT_FROM_WIN32(ERROR_MOD_NOT_FOUND)`.
    pub(crate) const MODULE_NOT_FOUND: u32 = 0x8007_007E;
    /// `HRESULT_FROM_WIN32(ERROR_PROC_NOT_FOUND)`.
    pub(crate) const PROCEDURE_NOT_FOUND: u32 = 0x8007_007F;
    /// `HRESULT_FROM_WIN32(ERROR_DIRECTORY)`.
    pub(crate) const NO_DIRECTORY: u32 = 0x8007_010B;
    /// `HRESULT_FROM_WIN32(ERROR_PRIVILEGE_NOT_HELD)`.
    pub(crate) const PRIVILEGE_NOT_HELD: u32 = 0x8007_0522;
    /// `HRESULT_FROM_WIN32(ERROR_TIMEOUT)`.
    pub(crate) const TIMEOUT: u32 = 0x8007_05B4;
    /// `HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE)`.
    pub(crate) const SERVICE_GONE: u32 = 0x8007_06BA;
    /// `HRESULT_FROM_WIN32(ERROR_NO_SYSTEM_RESOURCES)`.
    pub(crate) const NO_RESOURCES: u32 = 0x8007_05AA;
    /// `E_OUTOFMEMORY`.
    pub(crate) const OUT_OF_MEMORY: u32 = 0x8007_000E;
    /// `HRESULT_FROM_WIN32(ERROR_DEVICE_NOT_CONNECTED)`.
    pub(crate) const DEVICE_NOT_CONNECTED: u32 = 0x8007_048F;
    /// `HCS_E_TERMINATED_DURING_START`.
    pub(crate) const TERMINATED_DURING_START: u32 = 0x8037_0100;
    /// `HCS_E_IMAGE_MISMATCH`.
    pub(crate) const IMAGE_MISMATCH: u32 = 0x8037_0101;
    /// `HCS_E_HYPERV_NOT_INSTALLED`.
    pub(crate) const HYPERV_NOT_INSTALLED: u32 = 0x8037_0102;
    /// `HCS_E_INVALID_STATE`.
    pub(crate) const INVALID_STATE: u32 = 0x8037_0105;
    /// `HCS_E_UNEXPECTED_EXIT`.
    pub(crate) const UNEXPECTED_EXIT: u32 = 0x8037_0106;
    /// `HCS_E_TERMINATED`.
    pub(crate) const TERMINATED: u32 = 0x8037_0107;
    /// `HCS_E_CONNECT_FAILED`.
    pub(crate) const CONNECT_FAILED: u32 = 0x8037_0108;
    /// `HCS_E_CONNECTION_TIMEOUT`.
    pub(crate) const CONNECTION_TIMEOUT: u32 = 0x8037_0109;
    /// `HCS_E_CONNECTION_CLOSED`.
    pub(crate) const CONNECTION_CLOSED: u32 = 0x8037_010A;
    /// `HCS_E_INVALID_JSON`.
    pub(crate) const INVALID_JSON: u32 = 0x8037_010D;
    /// `HCS_E_SYSTEM_NOT_FOUND`.
    pub(crate) const SYSTEM_NOT_FOUND: u32 = 0x8037_010E;
    /// `HCS_E_SYSTEM_ALREADY_EXISTS`.
    pub(crate) const SYSTEM_EXISTS: u32 = 0x8037_010F;
    /// `HCS_E_SYSTEM_ALREADY_STOPPED`.
    pub(crate) const ALREADY_STOPPED: u32 = 0x8037_0110;
    /// `HCS_E_INVALID_LAYER`.
    pub(crate) const INVALID_LAYER: u32 = 0x8037_0112;
    /// `HCS_E_SERVICE_NOT_AVAILABLE`.
    pub(crate) const SERVICE_NOT_AVAILABLE: u32 = 0x8037_0114;
    /// `HCS_E_SERVICE_DISCONNECT`.
    pub(crate) const SERVICE_DISCONNECT: u32 = 0x8037_011E;
    /// `HCS_E_ACCESS_DENIED`.
    pub(crate) const HCS_ACCESS_DENIED: u32 = 0x8037_011B;
    /// `HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION`.
    pub(crate) const NOT_CONFIGURED: u32 = 0x8037_0120;
    /// `HCS_E_OPERATION_TIMEOUT`.
    pub(crate) const OPERATION_TIMEOUT: u32 = 0x8037_0118;
}

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

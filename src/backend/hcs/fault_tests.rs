//! What each number is told as.

use std::path::Path;

use polyarch_actors::{BuildError, Fault};

use super::{
    error::HcsError,
    fault::{STARTS, code},
};

fn error(code: u32) -> HcsError {
    HcsError { call: STARTS, code, detail: None }
}

#[test]
fn each_number_says_what_is_wrong_who_can_act_and_whether_to_try_again() {
    for (number, what, advice, fault, retryable) in [
        (0x8007_007E, "libraries", "FeatureName Containers", Fault::Host, false),
        (0x8007_007F, "too old", "Windows Server 2019", Fault::Host, false),
        (0x8007_0032, "Containers is off", "FeatureName Containers", Fault::Host, false),
        (0x8037_0102, "Hyper-V is off", "FeatureName Microsoft-Hyper-V", Fault::Host, false),
        (0x8037_0114, "service for containers is not there", "Containers", Fault::Host, false),
        (0x8037_0101, "version of the base", "--isolation=hyperv", Fault::Host, false),
        (0xC037_0101, "version of the base", "--isolation=hyperv", Fault::Host, false),
        (0x8007_0005, "denies the access", "administrator", Fault::Host, false),
        (0x8007_0522, "may not write", "Restore files", Fault::Host, false),
        (0x8007_0020, "another program uses", "virus scanners", Fault::Host, true),
        (0x8007_0015, "not ready", "", Fault::Host, true),
        (0x8007_048F, "not connected", "", Fault::Host, true),
        (0x8007_05B4, "in time", "fewer builds", Fault::Host, true),
        (0x8037_0118, "in time", "fewer builds", Fault::Host, true),
        (0x8037_0109, "virtual machine", "fewer builds", Fault::Host, true),
        (0x8037_0108, "virtual machine", "fewer builds", Fault::Host, true),
        (0x8037_010A, "virtual machine", "fewer builds", Fault::Host, true),
        (0x8007_06BA, "has stopped", "Get-Service vmcompute", Fault::Host, true),
        (0x8037_011E, "has stopped", "Get-Service vmcompute", Fault::Host, true),
        (0x8037_0100, "ended before", "fewer builds", Fault::Host, true),
        (0x8037_0106, "ended before", "fewer builds", Fault::Host, true),
        (0x8037_0107, "ended before", "fewer builds", Fault::Host, true),
        (0x8007_000E, "not enough memory", "fewer builds", Fault::Host, true),
        (0x8007_05AA, "not enough memory", "fewer builds", Fault::Host, true),
        (0x8007_0002, "is not there", "", Fault::User, false),
        (0x8007_0003, "is not there", "", Fault::User, false),
        (0x8007_010B, "working directory", "WORKDIR", Fault::User, false),
        (0x8037_010E, "not there any more", "vmcompute", Fault::Host, true),
        (0x8037_010F, "already", "", Fault::Host, false),
        (0x8037_0110, "stopped already", "", Fault::Host, true),
        (0x8037_0105, "no state", "", Fault::Host, false),
        (0x8037_010D, "does not understand", "", Fault::Host, false),
        (0x8037_0112, "is not what it should be", "build again", Fault::Host, false),
        (0x8037_011B, "denies the access", "administrator", Fault::Host, false),
        (0x8037_0120, "not set up", "", Fault::Host, false),
        (0x8007_0490, "is not there any more", "Get-HnsNetwork", Fault::Host, true),
        (0x803B_0001, "is not there any more", "--network=none", Fault::Host, false),
        (0x803B_0002, "is not there any more", "hns", Fault::Host, true),
        (0x803B_0003, "is not whole", "restart the service hns", Fault::Host, false),
        (0x803B_0004, "is not whole", "restart the service hns", Fault::Host, false),
        (0x803B_0005, "is not whole", "restart the service hns", Fault::Host, false),
        (0x803B_0006, "is not whole", "restart the service hns", Fault::Host, false),
        (0x803B_000A, "is not whole", "restart the service hns", Fault::Host, false),
        (0x803B_000C, "does not have what", "Get-HnsNetwork", Fault::Host, false),
        (0x803B_0014, "belongs to another one", "", Fault::Host, false),
        (0x803B_0015, "does not do what", "Get-HnsNetwork", Fault::Host, false),
        (0x803B_0017, "is not whole", "restart the service hns", Fault::Host, false),
        (0x803B_001B, "not understood", "", Fault::Host, false),
        (0x803B_0020, "stops", "restart the service hns", Fault::Host, true),
        (0x803B_0025, "could not be connected", "hns", Fault::Host, true),
        (0x803B_002A, "is disabled", "SharedAccess", Fault::Host, false),
        (0x803B_002B, "belongs to another one", "", Fault::Host, false),
        (0x803B_002C, "still in use", "hns", Fault::Host, true),
        (0x803B_002E, "could not be connected", "hns", Fault::Host, true),
    ] {
        let failed = error(number);
        let told = failed.to_build_error(Path::new("/store"));
        let text = told.to_string();
        assert!(text.contains(what) && text.contains(advice), "{number:#x}: {text}");
        assert!(text.contains(&format!("HcsCreateProcess failed with 0x{number:08X}")), "{text}");
        assert_eq!((told.fault(), told.retryable()), (fault, retryable), "{number:#x}");
    }
}

#[test]
fn what_is_missing_elsewhere_is_no_fault_of_the_dockerfile() {
    let failed = HcsError { call: "ImportLayer", code: code::FILE_NOT_FOUND, detail: None };
    assert_eq!(failed.to_build_error(Path::new("/store")).fault(), Fault::Host);
}

#[test]
fn a_full_disk_is_told_as_one() {
    for number in [0x8007_0070, 0x8007_0027] {
        let told = error(number).to_build_error(Path::new("/store"));
        assert_eq!(told, BuildError::NoSpace { path: "/store".into() });
    }
}

#[test]
fn what_nobody_knows_keeps_its_number_its_call_and_what_windows_said() {
    let failed = HcsError { call: "ImportLayer", code: 0x8BAD_F00D, detail: Some("so it is".into()) };
    let told = failed.to_build_error(Path::new("/store"));
    assert_eq!(told.to_string(), "ImportLayer failed with 0x8BADF00D: so it is");
    assert!(!told.retryable());
}

//! The rights that layers need: to read every file, and to write every file with any owner.
//!
//! JUSTIFICATION: the rights of a process can only be changed by Win32.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
    ptr::{null, null_mut},
    sync::OnceLock,
};

use windows_sys::Win32::{
    Foundation::LUID,
    Security::{
        AdjustTokenPrivileges, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED,
        TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES, TOKEN_QUERY,
    },
    System::Threading::{GetCurrentProcess, OpenProcessToken},
};

use super::{failure::last, text::wide};
use crate::backend::hcs::{HcsError, HcsResult};

const NEEDED: [&str; 2] = ["SeBackupPrivilege", "SeRestorePrivilege"];

/// What [`enable`] has found.
static ENABLED: OnceLock<HcsResult<()>> = OnceLock::new();

/// Switches the rights on, for the whole process, once. Without them: `0x80070514`, with the name of the one that is
/// missing.
pub(super) fn enable() -> HcsResult<()> {
    ENABLED.get_or_init(|| NEEDED.iter().try_for_each(|name| enable_one(name))).clone()
}

fn enable_one(name: &str) -> HcsResult<()> {
    let mut token = null_mut();
    // SAFETY: The handle of the own process need not be closed, and there is place for one of its token.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &raw mut token) }
        == 0
    {
        return Err(last("OpenProcessToken"));
    }
    // SAFETY: The handle was just opened.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let privilege = wide("LookupPrivilegeValueW", name.as_ref())?;
    let mut id = LUID::default();
    // SAFETY: The name ends with a zero, no machine means this one, and there is place for an id.
    if unsafe { LookupPrivilegeValueW(null(), privilege.as_ptr(), &raw mut id) } == 0 {
        return Err(last("LookupPrivilegeValueW"));
    }
    let wanted = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES { Luid: id, Attributes: SE_PRIVILEGE_ENABLED }],
    };
    // SAFETY: One right is told and one is there; what was before is not asked for.
    let adjusted = unsafe {
        AdjustTokenPrivileges(token.as_raw_handle(), 0, &raw const wanted, 0, null_mut(), null_mut())
    };
    // It succeeds without having done it, and tells by the last error.
    let HcsError { call, code, .. } = last("AdjustTokenPrivileges");
    if adjusted == 0 || code != 0x8007_0000 {
        return Err(HcsError { call, code, detail: Some(format!("this process does not have {name}")) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::enable_one;

    #[test]
    fn a_right_that_a_process_does_not_have_is_told_by_its_name() {
        // Nobody has this one but the system itself.
        let error = enable_one("SeCreateTokenPrivilege").expect_err("no such right");
        assert_eq!((error.call, error.code), ("AdjustTokenPrivileges", 0x8007_0514));
        assert!(error.detail.is_some_and(|detail| detail.contains("SeCreateTokenPrivilege")));
    }
}

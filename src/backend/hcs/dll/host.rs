//! Which Windows this is.
//!
//! JUSTIFICATION: the true version of Windows, and its updates, are only told by Win32.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::ptr::null_mut;

use windows_sys::{
    Wdk::System::SystemServices::RtlGetVersion,
    Win32::System::{
        Registry::{HKEY_LOCAL_MACHINE, RRF_RT_REG_DWORD, RegGetValueW},
        SystemInformation::OSVERSIONINFOW,
    },
};

use super::{failure::check, text::wide};
use crate::backend::hcs::{HcsResult, OsVersion};

/// The version of this Windows. Where the registry does not tell the updates, they are 0.
pub(super) fn version() -> HcsResult<OsVersion> {
    let size = size_of::<OSVERSIONINFOW>();
    let mut found = OSVERSIONINFOW {
        dwOSVersionInfoSize: u32::try_from(size).unwrap_or_default(),
        ..OSVERSIONINFOW::default()
    };
    // SAFETY: The structure tells its size.
    check("RtlGetVersion", unsafe { RtlGetVersion(&raw mut found) })?;
    Ok(OsVersion {
        major: found.dwMajorVersion,
        minor: found.dwMinorVersion,
        build: found.dwBuildNumber,
        revision: revision()?,
    })
}

fn revision() -> HcsResult<u32> {
    let key = wide("RegGetValueW", r"SOFTWARE\Microsoft\Windows NT\CurrentVersion".as_ref())?;
    let name = wide("RegGetValueW", "UBR".as_ref())?;
    let mut value = 0_u32;
    let mut size = 4;
    // SAFETY: The texts end with a zero, and there is place for the four bytes of the only type that is allowed.
    let result = unsafe {
        RegGetValueW(
            HKEY_LOCAL_MACHINE,
            key.as_ptr(),
            name.as_ptr(),
            RRF_RT_REG_DWORD,
            null_mut(),
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    Ok(if result == 0 { value } else { 0 })
}

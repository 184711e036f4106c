//! What calls of Win32 return.
//!
//! JUSTIFICATION: only whoever made a call knows whose the handle is that it returned.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    io,
    os::windows::io::{FromRawHandle as _, OwnedHandle},
};

use windows_sys::Win32::Foundation::HANDLE;

use crate::failure::Outcome;

/// Takes a handle that a call of Win32 has returned.
///
/// # Safety
/// The handle must be open, and nobody else may have it, unless it says that the call failed.
pub(crate) unsafe fn owned(handle: HANDLE) -> Outcome<OwnedHandle> {
    if handle.is_null() || handle.addr() == usize::MAX {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: As is asked of the caller.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// Judges a result that is 0 for a failure.
pub(crate) fn succeeded(result: i32) -> Outcome<()> {
    if result == 0 { Err(io::Error::last_os_error().into()) } else { Ok(()) }
}

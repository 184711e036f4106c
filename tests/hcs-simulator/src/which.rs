//! As which library this copy was loaded: two of them have functions of the same names.
//!
//! JUSTIFICATION: only Win32 tells which file some code is from.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ptr::null_mut, sync::OnceLock};

use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT, GetModuleFileNameW,
    GetModuleHandleExW,
};

/// Whether this is `vmcompute.dll`, and not `computecore.dll`.
pub(crate) fn is_vmcompute() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        let mut module = null_mut();
        let mut name = [0_u16; 1024];
        let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
        // SAFETY: The address is one of this library; there is place for a handle, and for a name of that length.
        let length = unsafe {
            GetModuleHandleExW(flags, (is_vmcompute as fn() -> bool as *const u16).cast(), &raw mut module);
            GetModuleFileNameW(module, name.as_mut_ptr(), 1024)
        };
        let path = String::from_utf16_lossy(&name[..length as usize]).to_lowercase();
        path.ends_with("vmcompute.dll")
    })
}

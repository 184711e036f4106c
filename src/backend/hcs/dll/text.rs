//! Text as Windows takes and gives it.
//!
//! JUSTIFICATION: documents come as pointers into memory that Windows has allocated, and that must be given back to it.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ffi::OsStr, os::windows::ffi::OsStrExt as _};

use windows_sys::Win32::Foundation::LocalFree;

use crate::backend::hcs::{HcsError, HcsResult};

/// UTF-16 with a zero at its end. A text that has a zero in it is refused, because Windows would read a part of it.
pub(super) fn wide(call: &'static str, text: &OsStr) -> HcsResult<Vec<u16>> {
    let mut units: Vec<u16> = text.encode_wide().collect();
    if units.contains(&0) {
        // ERROR_INVALID_NAME.
        return Err(HcsError { call, code: 0x8007_007B, detail: Some("a zero is in the text".to_owned()) });
    }
    units.push(0);
    Ok(units)
}

/// A document that Windows has allocated; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Document(*mut u16);

impl Document {
    /// A place for a call to put its document into.
    pub(super) fn new() -> Self {
        Self(std::ptr::null_mut())
    }

    /// Where a call puts its document, which must be null or text that ends with a zero and is freed by `LocalFree`.
    pub(super) fn place(&mut self) -> *mut *mut u16 {
        &raw mut self.0
    }

    /// Its text, if the call left one.
    pub(super) fn text(&self) -> Option<String> {
        if self.0.is_null() {
            return None;
        }
        let mut length = 0;
        // SAFETY: What is not null ends with a zero, by the promise of `place`, and is not read beyond it.
        while unsafe { *self.0.add(length) } != 0 {
            length += 1;
        }
        // SAFETY: So many units were just read, and nobody else has the memory.
        let units = unsafe { std::slice::from_raw_parts(self.0, length) };
        Some(String::from_utf16_lossy(units))
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: The memory was allocated for us, by the promise of `place`, and is not used afterwards.
            unsafe { LocalFree(self.0.cast()) };
        }
    }
}

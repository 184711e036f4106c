//! Text as Windows takes and gives it.
//!
//! JUSTIFICATION: documents come as pointers into memory that Windows has allocated, and that must be given back to it,
//! in one of two ways.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ffi::OsStr, os::windows::ffi::OsStrExt as _};

use windows_sys::Win32::{Foundation::LocalFree, System::Com::CoTaskMemFree};

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

/// How memory is given back that Windows has allocated.
#[derive(Clone, Copy, Debug)]
enum Freed {
    /// By `LocalFree`.
    Locally,
    /// By `CoTaskMemFree`.
    AsTask,
}

/// A document that Windows has allocated; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Document {
    units: *mut u16,
    freed: Freed,
}

impl Document {
    /// A place for a call of the Host Compute Service to put its document into.
    pub(super) fn new() -> Self {
        Self { units: std::ptr::null_mut(), freed: Freed::Locally }
    }

    /// A place for a call of the Host Compute Network.
    pub(super) fn of_network() -> Self {
        Self { units: std::ptr::null_mut(), freed: Freed::AsTask }
    }

    /// Where a call puts its document, which must be null or text that ends with a zero and is freed as this one is.
    pub(super) fn place(&mut self) -> *mut *mut u16 {
        &raw mut self.units
    }

    /// Its text, if the call left one.
    pub(super) fn text(&self) -> Option<String> {
        if self.units.is_null() {
            return None;
        }
        let mut length = 0;
        // SAFETY: What is not null ends with a zero, by the promise of `place`, and is not read beyond it.
        while unsafe { *self.units.add(length) } != 0 {
            length += 1;
        }
        // SAFETY: So many units were just read, and nobody else has the memory.
        let units = unsafe { std::slice::from_raw_parts(self.units, length) };
        Some(String::from_utf16_lossy(units))
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        if self.units.is_null() {
            return;
        }
        // SAFETY: The memory was allocated for us, by the promise of `place`, and is not used afterwards.
        unsafe {
            match self.freed {
                Freed::Locally => {
                    LocalFree(self.units.cast());
                }
                Freed::AsTask => CoTaskMemFree(self.units.cast()),
            }
        }
    }
}

//! Text as Windows takes and gives it.
//!
//! JUSTIFICATION: callers give pointers to text, and get memory that they free with `LocalFree` or `CoTaskMemFree`.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use windows_sys::Win32::System::{
    Com::CoTaskMemAlloc,
    Memory::{LMEM_FIXED, LocalAlloc},
};

use crate::failure::{Failure, INVALID_ARGUMENT, Outcome};

/// Reads a text that must be there.
///
/// # Safety
/// The pointer must be null or point to units that end with a zero.
pub(crate) unsafe fn read(text: *const u16) -> Outcome<String> {
    // SAFETY: As is asked of the caller.
    unsafe { read_if_any(text) }.ok_or_else(|| Failure::at_once(INVALID_ARGUMENT, "a text is missing"))
}

/// Reads a text that may be null.
///
/// # Safety
/// As [`read`].
pub(crate) unsafe fn read_if_any(text: *const u16) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut length = 0;
    // SAFETY: The text is not read beyond its zero.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: So many units were just read.
    Some(String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, length) }))
}

/// UTF-16 with a zero at its end.
pub(crate) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Leaves a document for the caller to free; nothing for one who does not want it.
///
/// # Safety
/// The place must be null or valid for a pointer.
pub(crate) unsafe fn leave(document: Option<&str>, place: *mut *mut u16) {
    // SAFETY: As is asked of the caller. The memory that is asked for belongs to nobody else.
    unsafe { leave_in(document, place, |bytes| LocalAlloc(LMEM_FIXED, bytes).cast()) }
}

/// As [`leave`], for a caller who frees it with `CoTaskMemFree`.
///
/// # Safety
/// As [`leave`].
pub(crate) unsafe fn leave_as_task(document: Option<&str>, place: *mut *mut u16) {
    // SAFETY: As in `leave`.
    unsafe { leave_in(document, place, |bytes| CoTaskMemAlloc(bytes).cast()) }
}

/// Leaves a document in memory of so many bytes that somebody allocates.
///
/// # Safety
/// As [`leave`], and the memory must be null or have the size that is asked for.
unsafe fn leave_in(document: Option<&str>, place: *mut *mut u16, allocate: impl FnOnce(usize) -> *mut u16) {
    if place.is_null() {
        return;
    }
    let Some(document) = document else {
        // SAFETY: As is asked of the caller.
        unsafe { *place = std::ptr::null_mut() };
        return;
    };
    let units = wide(document);
    // SAFETY: The memory has the size of all units, and is written before anybody else knows it.
    unsafe {
        let memory = allocate(units.len() * 2);
        if !memory.is_null() {
            memory.copy_from_nonoverlapping(units.as_ptr(), units.len());
        }
        *place = memory;
    }
}

//! Operations of the Host Compute Service: begun by one call, and waited for with another.
//!
//! JUSTIFICATION: an operation is a handle of a library.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::ptr::null;

use windows_sys::Win32::System::HostComputeSystem::{HCS_OPERATION, HCS_PROCESS_INFORMATION};

use super::{
    compute::ComputeCore,
    failure::{check, check_with, last},
    text::Document,
};
use crate::backend::hcs::HcsResult;

/// How long an operation may take, in milliseconds. The service gives up on its own before that, unless it is dead.
const TIMEOUT: u32 = 10 * 60 * 1000;

/// An operation. Dropping it closes the handle.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    core: &'a ComputeCore,
    handle: HCS_OPERATION,
}

impl<'a> Operation<'a> {
    /// Does one operation: begins it by `begin`, and waits for its result. Returns the document that it left.
    pub(super) fn of(
        core: &'a ComputeCore,
        call: &'static str,
        begin: impl FnOnce(HCS_OPERATION) -> HcsResult<i32>,
    ) -> HcsResult<Option<String>> {
        Self::within(core, call, TIMEOUT, begin)
    }

    /// As [`of`](Self::of), for so many milliseconds at most.
    pub(super) fn within(
        core: &'a ComputeCore,
        call: &'static str,
        milliseconds: u32,
        begin: impl FnOnce(HCS_OPERATION) -> HcsResult<i32>,
    ) -> HcsResult<Option<String>> {
        let operation = Self::begun(core, call, begin)?;
        let mut document = Document::new();
        // SAFETY: The handle is that of an operation, and there is place for a document.
        let result = unsafe { core.wait_for_result(operation.handle, milliseconds, document.place()) }?;
        let document = document.text();
        check_with(call, result, document.as_deref())?;
        Ok(document)
    }

    /// As [`of`](Self::of), for the operation that starts a process. Returns what is known of it; its handles belong
    /// to whoever gets them.
    pub(super) fn of_process(
        core: &'a ComputeCore,
        call: &'static str,
        begin: impl FnOnce(HCS_OPERATION) -> HcsResult<i32>,
    ) -> HcsResult<HCS_PROCESS_INFORMATION> {
        let operation = Self::begun(core, call, begin)?;
        let mut document = Document::new();
        let mut process = HCS_PROCESS_INFORMATION::default();
        // SAFETY: As in `of`, and there is place for what is known of the process.
        let result = unsafe {
            core.wait_for_result_and_process(operation.handle, TIMEOUT, &raw mut process, document.place())
        }?;
        check_with(call, result, document.text().as_deref())?;
        Ok(process)
    }

    fn begun(
        core: &'a ComputeCore,
        call: &'static str,
        begin: impl FnOnce(HCS_OPERATION) -> HcsResult<i32>,
    ) -> HcsResult<Self> {
        // SAFETY: Neither a context nor a callback is needed by those who wait.
        let handle = unsafe { core.create_operation(null(), null()) }?;
        if handle.is_null() {
            return Err(last("HcsCreateOperation"));
        }
        let operation = Self { core, handle };
        check(call, begin(handle)?)?;
        Ok(operation)
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        // SAFETY: The handle is open, and nobody else has it. That the library has the function is known, because it
        // gave the handle.
        let _ = unsafe { self.core.close_operation(self.handle) };
    }
}

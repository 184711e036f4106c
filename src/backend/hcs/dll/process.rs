//! Processes in compute systems.
//!
//! JUSTIFICATION: a process is a handle of a library, and its exit is told by a callback.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    ffi::c_void,
    ptr::{null, null_mut, without_provenance},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use windows_sys::Win32::System::HostComputeSystem::{HCS_EVENT, HCS_PROCESS, HCS_SYSTEM};

use super::{
    compute::ComputeCore,
    failure::check,
    notices::{Listener, Notice, tell},
    operation::Operation,
    pipe::Pipes,
    text::wide,
};
use crate::backend::hcs::{HcsError, HcsProcess, HcsResult, StartedProcess};

/// The notice that a process has ended (`HcsEventProcessExited`), of both libraries.
pub(super) const EXITED: u32 = 0x0001_0000;

/// How long to wait before the process is asked although nothing was told of it: a lost event costs that much.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is said of a process that has ended: that it is stopped, or not there, or its system is not.
const GONE: [u32; 6] = [0x8037_011F, 0x8007_0490, 0x8037_0110, 0x8037_0107, 0x8037_010E, 0xC037_0110];

/// A process. Dropping it closes the handle.
#[derive(Debug)]
struct Process {
    core: Arc<ComputeCore>,
    handle: HCS_PROCESS,
    listener: Listener,
}

// SAFETY: The handle names an object of the service, which takes calls of every thread.
unsafe impl Send for Process {}
// SAFETY: As above.
unsafe impl Sync for Process {}

/// Starts the process of this document in a system.
pub(super) fn start(
    core: &Arc<ComputeCore>,
    system: HCS_SYSTEM,
    document: &str,
) -> HcsResult<StartedProcess> {
    const CALL: &str = "HcsCreateProcess";
    let document = wide(CALL, document.as_ref())?;
    let mut process = Process { core: Arc::clone(core), handle: null_mut(), listener: Listener::new() };
    let place = &raw mut process.handle;
    let information = Operation::of_process(core, CALL, |operation| {
        // SAFETY: The document ends with a zero, and there is place for a handle.
        unsafe { core.create_process(system, document.as_ptr(), operation, null(), place) }
    })?;
    // SAFETY: The handles are ours now, by the promise of the operation.
    let pipes = unsafe { Pipes::own(&information) };
    process.listen()?;
    Ok(pipes.of(Box::new(process)))
}

impl Process {
    /// Lets events of the process be told from now on. What happened before is not told, which is why whoever waits
    /// looks first.
    fn listen(&self) -> HcsResult<()> {
        let context = without_provenance(self.listener.number());
        // SAFETY: The handle is open; the context is a number and not read as a pointer; the callback is static.
        let result = unsafe { self.core.set_process_callback(self.handle, 0, context, Some(told)) }?;
        check("HcsSetProcessCallback", result)
    }

    /// Its `ProcessStatus` document.
    fn status(&self) -> HcsResult<String> {
        let document = Operation::of(&self.core, "HcsGetProcessProperties", |operation| {
            // SAFETY: The handles are open, and there need not be a query.
            unsafe { self.core.get_process_properties(self.handle, operation, null()) }
        })?;
        Ok(document.unwrap_or_default())
    }
}

impl HcsProcess for Process {
    fn wait(&self) -> HcsResult<String> {
        loop {
            let status = self.status()?;
            if has_exited(&status) {
                return Ok(status);
            }
            self.listener.take(EXITED, LOOK_AGAIN);
        }
    }

    fn terminate(&self) -> HcsResult<()> {
        ended(Operation::of(&self.core, "HcsTerminateProcess", |operation| {
            // SAFETY: The handles are open, and there need not be options.
            unsafe { self.core.terminate_process(self.handle, operation, null()) }
        }))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: The handle is open, and nobody else has it.
            let _ = unsafe { self.core.close_process(self.handle) };
        }
    }
}

/// Is called by the library, on a thread of its own, when something has happened to a process.
unsafe extern "system" fn told(event: *const HCS_EVENT, context: *const c_void) {
    // SAFETY: The library gives an event that lives until this returns.
    let kind = unsafe { (*event).Type }.cast_unsigned();
    tell(context.addr(), kind, Notice { status: 0, document: None });
}

/// Whether a `ProcessStatus` document says that the process has ended.
pub(super) fn has_exited(status: &str) -> bool {
    let parsed: Value = serde_json::from_str(status).unwrap_or_default();
    parsed["Exited"] == true
}

/// One that has ended already is no error.
pub(super) fn ended<T>(result: HcsResult<T>) -> HcsResult<()> {
    match result {
        Err(HcsError { code, .. }) if GONE.contains(&code) => Ok(()),
        result => result.map(drop),
    }
}

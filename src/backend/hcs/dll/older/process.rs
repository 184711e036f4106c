//! Processes in compute systems.
//!
//! JUSTIFICATION: a process is a handle of a library, and its exit is told by a callback.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    ffi::c_void,
    ptr::{null_mut, without_provenance},
    sync::Arc,
};

use windows_sys::Win32::System::HostComputeSystem::{HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_SYSTEM};

use super::functions::{OlderCompute, at_once, told};
use crate::backend::hcs::{
    HcsProcess, HcsResult, StartedProcess,
    dll::{
        failure::check,
        notices::Listener,
        pipe::Pipes,
        process::{EXITED, LOOK_AGAIN, ended, has_exited},
        text::{Document, wide},
    },
};

/// A process. Dropping it closes the handle.
#[derive(Debug)]
struct Process {
    compute: Arc<OlderCompute>,
    handle: HCS_PROCESS,
    listener: Listener,
    listening: *mut c_void,
}

// SAFETY: The handles name objects of the service, which takes calls of every thread.
unsafe impl Send for Process {}
// SAFETY: As above.
unsafe impl Sync for Process {}

/// Starts the process of this document in a system.
pub(super) fn start(
    compute: &Arc<OlderCompute>,
    system: HCS_SYSTEM,
    document: &str,
) -> HcsResult<StartedProcess> {
    const CALL: &str = "HcsCreateProcess";
    let document = wide(CALL, document.as_ref())?;
    let mut process = Process {
        compute: Arc::clone(compute),
        handle: null_mut(),
        listener: Listener::new(),
        listening: null_mut(),
    };
    let (place, mut information) = (&raw mut process.handle, HCS_PROCESS_INFORMATION::default());
    at_once(CALL, |said| {
        // SAFETY: The document ends with a zero, and there are places for what is known of the process, for a handle
        // and for a document.
        unsafe { compute.create_process(system, document.as_ptr(), &raw mut information, place, said) }
    })?;
    // SAFETY: The handles of a process that was started are its caller's.
    let pipes = unsafe { Pipes::own(&information) };
    let context = without_provenance(process.listener.number());
    let place = &raw mut process.listening;
    // SAFETY: The handle is open; the context is a number and not read as a pointer; the callback is static.
    check("HcsRegisterProcessCallback", unsafe {
        compute.listen_to_process(process.handle, told, context, place)
    }?)?;
    Ok(pipes.of(Box::new(process)))
}

impl Process {
    /// Its `ProcessStatus` document.
    fn status(&self) -> HcsResult<String> {
        let mut properties = Document::new();
        let place = properties.place();
        at_once("HcsGetProcessProperties", |said| {
            // SAFETY: The handle is open, and there are places for two documents.
            unsafe { self.compute.get_process_properties(self.handle, place, said) }
        })?;
        Ok(properties.text().unwrap_or_default())
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
        ended(at_once("HcsTerminateProcess", |said| {
            // SAFETY: The handle is open, and there is place for a document.
            unsafe { self.compute.terminate_process(self.handle, said) }
        }))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: The handles are open where they are not null, and nobody else has them. Nobody is called any more when
        // the first of these calls has returned.
        unsafe {
            if !self.listening.is_null() {
                let _ = self.compute.stop_listening_to_process(self.listening);
            }
            if !self.handle.is_null() {
                let _ = self.compute.close_process(self.handle);
            }
        }
    }
}

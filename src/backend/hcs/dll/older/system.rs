//! Compute systems.
//!
//! JUSTIFICATION: a compute system is a handle of a library.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    ffi::c_void,
    ptr::{null_mut, without_provenance},
    sync::Arc,
    time::Duration,
};

use windows_sys::Win32::System::HostComputeSystem::HCS_SYSTEM;

use super::{
    functions::{OlderCompute, done, is_pending, noticed, told},
    process,
};
use crate::backend::hcs::{
    ComputeSystem, HcsResult, StartedProcess,
    dll::{
        failure::{check, check_with},
        notices::Listener,
        system::ended,
        text::{Document, wide},
    },
};

/// The notice that a system has ended.
const EXITED: u32 = 1;
/// The notice that a system is created.
const CREATED: u32 = 2;
/// The notice that a system has started.
const STARTED: u32 = 3;
/// How long a system may take to write what it has not written yet.
const SHUT_DOWN: Duration = Duration::from_mins(1);

/// No options: an empty text with its zero, as these functions have always been given.
static NO_OPTIONS: [u16; 1] = [0];

/// A compute system. Dropping it closes the handle.
#[derive(Debug)]
pub(in crate::backend::hcs::dll) struct System {
    compute: Arc<OlderCompute>,
    handle: HCS_SYSTEM,
    listener: Listener,
    listening: *mut c_void,
}

// SAFETY: The handles name objects of the service, which takes calls of every thread.
unsafe impl Send for System {}
// SAFETY: As above.
unsafe impl Sync for System {}

impl System {
    /// Creates the system of this document.
    pub(in crate::backend::hcs::dll) fn create(
        compute: &Arc<OlderCompute>,
        id: &str,
        document: &str,
    ) -> HcsResult<Self> {
        const CALL: &str = "HcsCreateComputeSystem";
        let (id, document) = (wide(CALL, id.as_ref())?, wide(CALL, document.as_ref())?);
        let mut system = Self {
            compute: Arc::clone(compute),
            handle: null_mut(),
            listener: Listener::new(),
            listening: null_mut(),
        };
        let place = &raw mut system.handle;
        let mut said = Document::new();
        // SAFETY: The texts end with a zero, there is no other identity than the own, and there are places for a handle
        // and a document.
        let result = unsafe {
            compute.create_system(id.as_ptr(), document.as_ptr(), null_mut(), place, said.place())
        }?;
        if !is_pending(result) {
            check_with(CALL, result, said.text().as_deref())?;
        }
        // Whatever was told before is told again to who begins to listen.
        system.listen()?;
        if is_pending(result) {
            done(CALL, &system.listener, CREATED, None)?;
        }
        Ok(system)
    }

    fn listen(&mut self) -> HcsResult<()> {
        let context = without_provenance(self.listener.number());
        let place = &raw mut self.listening;
        // SAFETY: The handle is open; the context is a number and not read as a pointer; the callback is static.
        let result = unsafe { self.compute.listen_to_system(self.handle, told, context, place) }?;
        check("HcsRegisterComputeSystemCallback", result)
    }
}

impl ComputeSystem for System {
    fn start(&self) -> HcsResult<()> {
        noticed("HcsStartComputeSystem", &self.listener, (STARTED, None), |place| {
            // SAFETY: The handle is open, the options end with a zero, and there is place for a document.
            unsafe { self.compute.start_system(self.handle, NO_OPTIONS.as_ptr(), place) }
        })
    }

    fn terminate(&self) -> HcsResult<()> {
        ended(noticed("HcsTerminateComputeSystem", &self.listener, (EXITED, None), |place| {
            // SAFETY: As in `start`.
            unsafe { self.compute.terminate_system(self.handle, NO_OPTIONS.as_ptr(), place) }
        }))
    }

    fn shut_down(&self) -> HcsResult<()> {
        ended(noticed("HcsShutdownComputeSystem", &self.listener, (EXITED, Some(SHUT_DOWN)), |place| {
            // SAFETY: As in `start`.
            unsafe { self.compute.shut_down_system(self.handle, NO_OPTIONS.as_ptr(), place) }
        }))
    }

    fn create_process(&self, document: &str) -> HcsResult<StartedProcess> {
        process::start(&self.compute, self.handle, document)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // SAFETY: The handles are open where they are not null, and nobody else has them. Nobody is called any more when
        // the first of these calls has returned.
        unsafe {
            if !self.listening.is_null() {
                let _ = self.compute.stop_listening_to_system(self.listening);
            }
            if !self.handle.is_null() {
                let _ = self.compute.close_system(self.handle);
            }
        }
    }
}

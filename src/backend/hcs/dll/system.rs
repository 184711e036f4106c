//! Compute systems.
//!
//! JUSTIFICATION: a compute system is a handle of a library.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    ptr::{null, null_mut},
    sync::Arc,
};

use windows_sys::Win32::{Foundation::GENERIC_ALL, System::HostComputeSystem::HCS_SYSTEM};

use super::{compute::ComputeCore, failure::check, operation::Operation, process, text::wide};
use crate::backend::hcs::{ComputeSystem, HcsError, HcsResult, StartedProcess};

/// What is said of a system that is not there any more: that it stopped, was terminated, or is unknown; the older
/// forms of the same codes are those of `vmcompute.dll`.
const GONE: [u32; 6] = [0x8037_0110, 0x8037_0107, 0x8037_010E, 0xC037_0110, 0xC037_0107, 0xC037_010E];

/// How long a system may take to write what it has not written yet, in milliseconds.
const SHUT_DOWN: u32 = 60 * 1000;

/// A compute system. Dropping it closes the handle.
#[derive(Debug)]
pub(super) struct System {
    core: Arc<ComputeCore>,
    handle: HCS_SYSTEM,
}

// SAFETY: The handle names an object of the service, which takes calls of every thread.
unsafe impl Send for System {}
// SAFETY: As above.
unsafe impl Sync for System {}

impl System {
    /// Creates the system of this document.
    pub(super) fn create(core: &Arc<ComputeCore>, id: &str, document: &str) -> HcsResult<Self> {
        const CALL: &str = "HcsCreateComputeSystem";
        let (id, document) = (wide(CALL, id.as_ref())?, wide(CALL, document.as_ref())?);
        let mut system = Self { core: Arc::clone(core), handle: null_mut() };
        let place = &raw mut system.handle;
        // What was begun is closed when the operation fails, because `system` has the handle already.
        Operation::of(core, CALL, |operation| {
            // SAFETY: The texts end with a zero, and there is place for a handle.
            unsafe { core.create_system(id.as_ptr(), document.as_ptr(), operation, null(), place) }
        })?;
        Ok(system)
    }

    /// Opens the system of this id.
    pub(super) fn open(core: &Arc<ComputeCore>, id: &str) -> HcsResult<Self> {
        const CALL: &str = "HcsOpenComputeSystem";
        let id = wide(CALL, id.as_ref())?;
        let mut system = Self { core: Arc::clone(core), handle: null_mut() };
        // SAFETY: The id ends with a zero, and there is place for a handle.
        check(CALL, unsafe { core.open_system(id.as_ptr(), GENERIC_ALL, &raw mut system.handle) }?)?;
        Ok(system)
    }
}

impl ComputeSystem for System {
    fn start(&self) -> HcsResult<()> {
        Operation::of(&self.core, "HcsStartComputeSystem", |operation| {
            // SAFETY: The handles are open, and there need not be options.
            unsafe { self.core.start_system(self.handle, operation, null()) }
        })?;
        Ok(())
    }

    fn terminate(&self) -> HcsResult<()> {
        ended(Operation::of(&self.core, "HcsTerminateComputeSystem", |operation| {
            // SAFETY: As in `start`.
            unsafe { self.core.terminate_system(self.handle, operation, null()) }
        }))
    }

    fn shut_down(&self) -> HcsResult<()> {
        ended(Operation::within(&self.core, "HcsShutDownComputeSystem", SHUT_DOWN, |operation| {
            // SAFETY: As in `start`.
            unsafe { self.core.shut_down_system(self.handle, operation, null()) }
        }))
    }

    fn create_process(&self, document: &str) -> HcsResult<StartedProcess> {
        process::start(&self.core, self.handle, document)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: The handle is open, and nobody else has it.
            let _ = unsafe { self.core.close_system(self.handle) };
        }
    }
}

/// One that has ended already is no error.
pub(super) fn ended<T>(result: HcsResult<T>) -> HcsResult<()> {
    match result {
        Err(HcsError { code, .. }) if GONE.contains(&code) => Ok(()),
        result => result.map(drop),
    }
}

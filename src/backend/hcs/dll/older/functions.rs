//! The functions of `vmcompute.dll` about compute systems, and how they tell that something is done.
//!
//! JUSTIFICATION: calls into a library are unsafe, and this makes one method of each.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ffi::c_void, time::Duration};

use windows_sys::Win32::{
    Foundation::HANDLE,
    System::HostComputeSystem::{HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_SYSTEM},
};

use crate::backend::hcs::{
    HcsError, HcsResult,
    dll::{
        failure::check_with,
        library::functions,
        notices::{Listener, Notice, tell},
        text::Document,
    },
};

/// What is called when something happens to a system or a process. It owns the document.
pub(super) type Callback =
    unsafe extern "system" fn(kind: u32, context: *const c_void, status: i32, document: *mut u16) -> usize;

/// What a call returns that is not done yet (`HCS_E_OPERATION_PENDING` of the older functions).
const PENDING: i32 = 0xC037_0103_u32.cast_signed();
/// How long something may take. The service gives up on its own before that, unless it is dead.
const LONGEST: Duration = Duration::from_mins(10);

functions! {
    /// The functions of `vmcompute.dll` about compute systems.
    pub(in crate::backend::hcs::dll) struct OlderCompute {
        c"HcsCreateComputeSystem" fn create_system(
            id: *const u16, document: *const u16, identity: HANDLE, system: *mut HCS_SYSTEM,
            result: *mut *mut u16,
        ) -> i32;
        c"HcsRegisterComputeSystemCallback" fn listen_to_system(
            system: HCS_SYSTEM, callback: Callback, context: *const c_void, handle: *mut *mut c_void,
        ) -> i32;
        c"HcsUnregisterComputeSystemCallback" fn stop_listening_to_system(handle: *mut c_void) -> i32;
        c"HcsStartComputeSystem" fn start_system(
            system: HCS_SYSTEM, options: *const u16, result: *mut *mut u16,
        ) -> i32;
        c"HcsShutdownComputeSystem" fn shut_down_system(
            system: HCS_SYSTEM, options: *const u16, result: *mut *mut u16,
        ) -> i32;
        c"HcsTerminateComputeSystem" fn terminate_system(
            system: HCS_SYSTEM, options: *const u16, result: *mut *mut u16,
        ) -> i32;
        c"HcsCloseComputeSystem" fn close_system(system: HCS_SYSTEM) -> i32;
        c"HcsCreateProcess" fn create_process(
            system: HCS_SYSTEM, document: *const u16, information: *mut HCS_PROCESS_INFORMATION,
            process: *mut HCS_PROCESS, result: *mut *mut u16,
        ) -> i32;
        c"HcsRegisterProcessCallback" fn listen_to_process(
            process: HCS_PROCESS, callback: Callback, context: *const c_void, handle: *mut *mut c_void,
        ) -> i32;
        c"HcsUnregisterProcessCallback" fn stop_listening_to_process(handle: *mut c_void) -> i32;
        c"HcsGetProcessProperties" fn get_process_properties(
            process: HCS_PROCESS, properties: *mut *mut u16, result: *mut *mut u16,
        ) -> i32;
        c"HcsTerminateProcess" fn terminate_process(process: HCS_PROCESS, result: *mut *mut u16) -> i32;
        c"HcsCloseProcess" fn close_process(process: HCS_PROCESS) -> i32;
    }
}

/// Makes a call that is done when it returns.
pub(super) fn at_once(
    call: &'static str,
    make: impl FnOnce(*mut *mut u16) -> HcsResult<i32>,
) -> HcsResult<()> {
    let mut document = Document::new();
    let result = make(document.place())?;
    check_with(call, result, document.text().as_deref())
}

/// Makes a call that may be done later: then a notice of `kind` says so.
pub(super) fn noticed(
    call: &'static str,
    listener: &Listener,
    (kind, longest): (u32, Option<Duration>),
    make: impl FnOnce(*mut *mut u16) -> HcsResult<i32>,
) -> HcsResult<()> {
    let mut document = Document::new();
    let result = make(document.place())?;
    if result == PENDING {
        done(call, listener, kind, longest)
    } else {
        check_with(call, result, document.text().as_deref())
    }
}

/// Waits for the notice that something is done.
pub(super) fn done(
    call: &'static str,
    listener: &Listener,
    kind: u32,
    longest: Option<Duration>,
) -> HcsResult<()> {
    match listener.take(kind, longest.unwrap_or(LONGEST)) {
        Some(Notice { status, document }) => check_with(call, status, document.as_deref()),
        // HCS_E_OPERATION_TIMEOUT.
        None => Err(HcsError { call, code: 0x8037_0118, detail: Some("nothing was told of it".to_owned()) }),
    }
}

/// Whether a call that was made is not done yet.
pub(super) fn is_pending(result: i32) -> bool {
    result == PENDING
}

/// Is called by the library, on a thread of its own.
pub(super) unsafe extern "system" fn told(
    kind: u32,
    context: *const c_void,
    status: i32,
    document: *mut u16,
) -> usize {
    let mut owned = Document::new();
    // SAFETY: The place is that of a document, and who is called owns the one that it is given.
    unsafe { *owned.place() = document };
    tell(context.addr(), kind, Notice { status, document: owned.text() });
    0
}

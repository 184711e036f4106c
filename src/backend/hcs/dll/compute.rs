//! The functions of `computecore.dll`.
//!
//! Sources: Microsoft, "Host Compute System API", reference; `ComputeCore.h`. All of them are there from Windows Server
//! 2019 on, which is why the exit of a process is told by a callback: `HcsWaitForProcessExit` is younger.
//!
//! JUSTIFICATION: calls into a library are unsafe, and this makes one method of each.

#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::ffi::c_void;

use windows_sys::Win32::System::HostComputeSystem::{
    HCS_EVENT, HCS_OPERATION, HCS_PROCESS, HCS_PROCESS_INFORMATION, HCS_SYSTEM,
};

use super::library::functions;

/// What is called when something happens to a process.
pub(super) type EventCallback = unsafe extern "system" fn(event: *const HCS_EVENT, context: *const c_void);

functions! {
    /// The functions of `computecore.dll`.
    pub(super) struct ComputeCore {
        c"HcsCreateOperation" fn create_operation(context: *const c_void, callback: *const c_void) -> HCS_OPERATION;
        c"HcsCloseOperation" fn close_operation(operation: HCS_OPERATION);
        c"HcsWaitForOperationResult" fn wait_for_result(
            operation: HCS_OPERATION, milliseconds: u32, document: *mut *mut u16,
        ) -> i32;
        c"HcsWaitForOperationResultAndProcessInfo" fn wait_for_result_and_process(
            operation: HCS_OPERATION, milliseconds: u32, process: *mut HCS_PROCESS_INFORMATION,
            document: *mut *mut u16,
        ) -> i32;
        c"HcsEnumerateComputeSystems" fn enumerate_systems(query: *const u16, operation: HCS_OPERATION) -> i32;
        c"HcsCreateComputeSystem" fn create_system(
            id: *const u16, document: *const u16, operation: HCS_OPERATION, security: *const c_void,
            system: *mut HCS_SYSTEM,
        ) -> i32;
        c"HcsOpenComputeSystem" fn open_system(id: *const u16, access: u32, system: *mut HCS_SYSTEM) -> i32;
        c"HcsStartComputeSystem" fn start_system(
            system: HCS_SYSTEM, operation: HCS_OPERATION, options: *const u16,
        ) -> i32;
        c"HcsShutDownComputeSystem" fn shut_down_system(
            system: HCS_SYSTEM, operation: HCS_OPERATION, options: *const u16,
        ) -> i32;
        c"HcsTerminateComputeSystem" fn terminate_system(
            system: HCS_SYSTEM, operation: HCS_OPERATION, options: *const u16,
        ) -> i32;
        c"HcsCloseComputeSystem" fn close_system(system: HCS_SYSTEM);
        c"HcsCreateProcess" fn create_process(
            system: HCS_SYSTEM, document: *const u16, operation: HCS_OPERATION, security: *const c_void,
            process: *mut HCS_PROCESS,
        ) -> i32;
        c"HcsSetProcessCallback" fn set_process_callback(
            process: HCS_PROCESS, options: i32, context: *const c_void, callback: Option<EventCallback>,
        ) -> i32;
        c"HcsGetProcessProperties" fn get_process_properties(
            process: HCS_PROCESS, operation: HCS_OPERATION, query: *const u16,
        ) -> i32;
        c"HcsTerminateProcess" fn terminate_process(
            process: HCS_PROCESS, operation: HCS_OPERATION, options: *const u16,
        ) -> i32;
        c"HcsCloseProcess" fn close_process(process: HCS_PROCESS);
    }
}

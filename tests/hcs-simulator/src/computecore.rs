//! What `computecore.dll` exports about operations and systems. Functions that `vmcompute.dll` has under the same names, with other arguments, are
//! those of [`older`] in a copy that is loaded as that.
//!
//! JUSTIFICATION: callers come from elsewhere, with pointers.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    ffi::c_void,
    os::windows::io::{IntoRawHandle, OwnedHandle},
    ptr::null_mut,
    sync::Arc,
};

use windows_sys::Win32::System::HostComputeSystem::HCS_PROCESS_INFORMATION;

use crate::{
    failure::{Failure, INVALID_ARGUMENT, INVALID_JSON, Outcome, result},
    job,
    objects::{self, Object, track},
    older, text,
    which::is_vmcompute,
    world::call,
};

#[unsafe(no_mangle)]
extern "system" fn HcsCreateOperation(_context: *const c_void, _callback: *const c_void) -> *mut c_void {
    objects::open(Object::Operation(Arc::default()))
}

#[unsafe(no_mangle)]
extern "system" fn HcsCloseOperation(operation: *mut c_void) {
    objects::close(operation);
}

/// # Safety
/// The place must be null or valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsWaitForOperationResult(
    operation: *mut c_void,
    _milliseconds: u32,
    document: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe { HcsWaitForOperationResultAndProcessInfo(operation, 0, null_mut(), document) }
}

/// # Safety
/// The places must be null or valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsWaitForOperationResultAndProcessInfo(
    operation: *mut c_void,
    _milliseconds: u32,
    process: *mut HCS_PROCESS_INFORMATION,
    document: *mut *mut u16,
) -> i32 {
    match objects::wait(operation) {
        Err(failure) => failure.code.cast_signed(),
        Ok((result, text, pipes)) => {
            let raw = |end: Option<OwnedHandle>| end.map_or(null_mut(), IntoRawHandle::into_raw_handle);
            // SAFETY: As is asked of the caller.
            unsafe {
                text::leave(text.as_deref(), document);
                if let (Some(pipes), false) = (pipes, process.is_null()) {
                    *process = HCS_PROCESS_INFORMATION {
                        ProcessId: pipes.number,
                        Reserved: 0,
                        StdInput: raw(pipes.stdin),
                        StdOutput: raw(pipes.stdout),
                        StdError: raw(pipes.stderr),
                    };
                }
            }
            result
        }
    }
}

/// # Safety
/// The query must be null or end with a zero.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsEnumerateComputeSystems(query: *const u16, operation: *mut c_void) -> i32 {
    // SAFETY: As is asked of the caller.
    let query = unsafe { text::read_if_any(query) };
    result(track(operation, |_| {
        let about = query.clone().unwrap_or_default();
        call("HcsEnumerateComputeSystems", about, |world| world.enumerate(query.as_deref())).map(Some)
    }))
}

/// # Safety
/// The texts must be null or end with a zero, and the place must be valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsCreateComputeSystem(
    id: *const u16,
    document: *const u16,
    operation: *mut c_void,
    security: *const c_void,
    place: *mut *mut c_void,
) -> i32 {
    if is_vmcompute() {
        // SAFETY: As is asked of the caller, whose arguments are those of the other library.
        return unsafe { older::create(id, document, operation, security.cast_mut().cast(), place.cast()) };
    }
    // SAFETY: As is asked of the caller.
    let (id, document) = unsafe { (text::read(id), text::read(document)) };
    result(track(operation, |_| {
        let (id, document) = (id?, document?);
        reserved(security)?;
        // The handle is there at once, whatever comes of the operation.
        // SAFETY: As is asked of the caller.
        unsafe { *place = objects::open(Object::System(id.clone())) };
        let created = call("HcsCreateComputeSystem", format!("{id} {document}"), |world| {
            if document.contains(r#""SystemType""#) {
                return Err(Failure::new(INVALID_JSON, "this is of the older schema"));
            }
            world.create_system(&id, &document)?;
            job::make(&world.root, &id)
        });
        match created {
            Err(failure) if failure.at_once => {
                // SAFETY: As above.
                unsafe {
                    objects::close(*place);
                    *place = null_mut();
                }
                Err(failure)
            }
            Err(failure) => {
                // SAFETY: As above. It is the handle of nothing that can be used.
                unsafe { objects::forget_system(*place) };
                Err(failure)
            }
            Ok(()) => Ok(None),
        }
    }))
}

/// # Safety
/// The id must be null or end with a zero, and the place must be valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsOpenComputeSystem(id: *const u16, access: u32, place: *mut *mut c_void) -> i32 {
    // SAFETY: As is asked of the caller.
    result(unsafe { text::read(id) }.and_then(|id| {
        // GENERIC_ALL is the only access that is documented.
        if access != 0x1000_0000 {
            return Err(Failure::at_once(INVALID_ARGUMENT, "there is no such access"));
        }
        call("HcsOpenComputeSystem", &id, |world| world.open_system(&id))?;
        // SAFETY: As is asked of the caller.
        unsafe { *place = objects::open(Object::System(id)) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsStartComputeSystem(
    system: *mut c_void,
    operation: *mut c_void,
    options: *const u16,
) -> i32 {
    if is_vmcompute() {
        return older::start(system, operation, options.cast_mut().cast());
    }
    result(track(operation, |_| {
        let id = objects::system(system)?;
        reserved(options.cast())?;
        call("HcsStartComputeSystem", &id, |world| world.start_system(&id))?;
        Ok(None)
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsTerminateComputeSystem(
    system: *mut c_void,
    operation: *mut c_void,
    options: *const u16,
) -> i32 {
    if is_vmcompute() {
        return older::end("HcsTerminateComputeSystem", system, operation, options.cast_mut().cast());
    }
    end("HcsTerminateComputeSystem", system, operation, options)
}

#[unsafe(no_mangle)]
extern "system" fn HcsShutDownComputeSystem(
    system: *mut c_void,
    operation: *mut c_void,
    options: *const u16,
) -> i32 {
    end("HcsShutDownComputeSystem", system, operation, options)
}

/// Ends a system, in one of two ways.
fn end(name: &str, system: *mut c_void, operation: *mut c_void, options: *const u16) -> i32 {
    result(track(operation, |_| {
        let id = objects::system(system)?;
        reserved(options.cast())?;
        call(name, &id, |world| {
            world.end_system(&id)?;
            job::end(&world.root, &id)
        })?;
        Ok(None)
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsCloseComputeSystem(system: *mut c_void) -> i32 {
    older::close(system);
    if let Some(Object::System(id)) = objects::close(system) {
        // A system that was never created is closed too.
        if !id.is_empty() {
            let _ = call("HcsCloseComputeSystem", &id, |world| {
                if world.close_system(&id)? { job::end(&world.root, &id) } else { Ok(()) }
            });
        }
    }
    0
}

/// What is reserved, or what nobody has needed yet, must be null.
pub(crate) fn reserved(pointer: *const c_void) -> Outcome<()> {
    if pointer.is_null() {
        return Ok(());
    }
    Err(Failure::at_once(INVALID_ARGUMENT, "this must be null"))
}

//! What `computecore.dll` exports about processes; in a copy that is loaded as `vmcompute.dll`, functions of the same
//! names are those of [`older`].
//!
//! JUSTIFICATION: callers come from elsewhere, with pointers.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ffi::c_void, ptr::null_mut};

use windows_sys::Win32::System::HostComputeSystem::{HCS_EVENT, HcsEventProcessExited};

use crate::{
    child,
    computecore::reserved,
    documents::parse,
    failure::{Failure, INVALID_ARGUMENT, result},
    objects::{self, Object, track},
    older, text,
    which::is_vmcompute,
    world::call,
};

/// What is called when a process ends.
type Callback = unsafe extern "system" fn(*const HCS_EVENT, *const c_void);

/// # Safety
/// The document must be null or end with a zero, and the place must be valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsCreateProcess(
    system: *mut c_void,
    document: *const u16,
    operation: *mut c_void,
    security: *const c_void,
    place: *mut *mut c_void,
) -> i32 {
    if is_vmcompute() {
        // SAFETY: As is asked of the caller, whose arguments are those of the other library.
        return unsafe {
            older::create_process(
                system,
                document,
                operation.cast(),
                security.cast_mut().cast(),
                place.cast(),
            )
        };
    }
    // SAFETY: As is asked of the caller.
    let document = unsafe { text::read(document) };
    result(track(operation, |pipes| {
        let (id, document) = (objects::system(system)?, document?);
        reserved(security)?;
        let (child, made) = call("HcsCreateProcess", format!("{id} {document}"), |world| {
            child::start(world, &id, &parse(&document)?)
        })?;
        *pipes = Some(made);
        // SAFETY: As is asked of the caller.
        unsafe { *place = objects::open(Object::Process(child)) };
        Ok(None)
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsSetProcessCallback(
    process: *mut c_void,
    options: i32,
    context: *const c_void,
    callback: Option<Callback>,
) -> i32 {
    result(objects::process(process).and_then(|process| {
        if options != 0 {
            return Err(Failure::at_once(INVALID_ARGUMENT, "there are no such options"));
        }
        call("HcsSetProcessCallback", "", |_| Ok(()))?;
        let context = context.addr();
        process.listen(callback.map(|callback| {
            let told: child::Callback = Box::new(move |status| {
                let document = text::wide(status);
                let event = HCS_EVENT {
                    Type: HcsEventProcessExited,
                    EventData: document.as_ptr(),
                    Operation: null_mut(),
                };
                // SAFETY: Whoever gave the callback takes events of this form until it takes it back.
                unsafe { callback(&raw const event, std::ptr::without_provenance(context)) };
            });
            told
        }));
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsGetProcessProperties(
    process: *mut c_void,
    operation: *mut c_void,
    query: *const u16,
) -> i32 {
    if is_vmcompute() {
        // SAFETY: As is asked of the caller, whose arguments are those of the other library.
        return unsafe { older::get_process_properties(process, operation.cast(), query.cast_mut().cast()) };
    }
    result(track(operation, |_| {
        let process = objects::process(process)?;
        reserved(query.cast())?;
        call("HcsGetProcessProperties", process.number.to_string(), |_| Ok(()))?;
        Ok(Some(process.status()))
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsTerminateProcess(
    process: *mut c_void,
    operation: *mut c_void,
    options: *const u16,
) -> i32 {
    if is_vmcompute() {
        return older::terminate_process(process, operation.cast());
    }
    result(track(operation, |_| {
        let process = objects::process(process)?;
        reserved(options.cast())?;
        call("HcsTerminateProcess", process.number.to_string(), |_| process.terminate())?;
        Ok(None)
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsCloseProcess(process: *mut c_void) -> i32 {
    objects::close(process);
    0
}

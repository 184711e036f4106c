//! What `vmcompute.dll` exports about compute systems: calls that are done later, and tell it by notices.
//!
//! JUSTIFICATION: callers come from elsewhere, with pointers.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    collections::BTreeMap,
    ffi::c_void,
    os::windows::io::{IntoRawHandle, OwnedHandle},
    ptr::{null_mut, without_provenance},
    sync::Mutex,
    thread,
};

use windows_sys::Win32::System::HostComputeSystem::HCS_PROCESS_INFORMATION;

use crate::{
    child,
    documents::parse,
    failure::{Failure, INVALID_ARGUMENT, INVALID_HANDLE, INVALID_JSON, Outcome, result},
    job,
    objects::{self, Object, lock},
    text,
    world::{World, call},
};

/// What is called when something happens. It owns the document.
type Callback = unsafe extern "system" fn(u32, *const c_void, i32, *mut u16) -> usize;

const EXITED: u32 = 1;
const CREATED: u32 = 2;
const STARTED: u32 = 3;
const PROCESS_EXITED: u32 = 0x0001_0000;
/// What a call returns that is done later.
const PENDING: i32 = 0xC037_0103_u32.cast_signed();

/// What is told of a system: to its listener, or to the one that it will have.
#[derive(Default)]
struct Notices {
    waiting: Vec<(u32, i32, Option<String>)>,
    listener: Option<(usize, Callback)>,
}

/// By the numbers of the handles of systems.
static NOTICES: Mutex<BTreeMap<usize, Notices>> = Mutex::new(BTreeMap::new());

/// # Safety
/// The texts must be null or end with a zero, and the places must be valid.
pub(crate) unsafe fn create(
    id: *const u16,
    document: *const u16,
    identity: *const c_void,
    place: *mut *mut c_void,
    said: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    let given = unsafe { (text::read(id), text::read(document)) };
    let (Ok(id), Ok(document)) = given else { return INVALID_ARGUMENT.cast_signed() };
    if !identity.is_null() {
        return INVALID_ARGUMENT.cast_signed();
    }
    let created = call("HcsCreateComputeSystem", format!("{id} {document}"), |world| {
        if !document.contains(r#""SystemType""#) {
            return Err(Failure::at_once(INVALID_JSON, "this is not of the older schema"));
        }
        world.create_system(&id, &document)?;
        job::make(&world.root, &id)
    });
    if let Err(failure @ Failure { at_once: true, .. }) = &created {
        // SAFETY: As above.
        return unsafe { say(Err(failure.clone()), said) };
    }
    let handle = objects::open(Object::System(id));
    // SAFETY: As above.
    unsafe { *place = handle };
    if created.is_err() {
        objects::forget_system(handle);
    }
    later(handle, CREATED, created)
}

pub(crate) fn start(system: *mut c_void, options: *const c_void, said: *mut *mut u16) -> i32 {
    act(system, options, said, STARTED, |id| {
        call("HcsStartComputeSystem", id, |world| world.start_system(id))
    })
}

/// Ends a system, in one of two ways.
pub(crate) fn end(name: &str, system: *mut c_void, options: *const c_void, said: *mut *mut u16) -> i32 {
    act(system, options, said, EXITED, |id| {
        let ended = call(name, id, |world| {
            world.end_system(id)?;
            job::end(&world.root, id)
        });
        // What could not end has not exited, and no notice says so.
        ended.map_err(|failure| Failure { at_once: true, ..failure })
    })
}

pub(crate) fn close(system: *mut c_void) {
    lock(&NOTICES).remove(&system.addr());
}

/// # Safety
/// The document must be null or end with a zero, and the places must be valid.
pub(crate) unsafe fn create_process(
    system: *mut c_void,
    document: *const u16,
    information: *mut HCS_PROCESS_INFORMATION,
    place: *mut *mut c_void,
    said: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    let document = unsafe { text::read(document) };
    let started = objects::system(system).and_then(|id| {
        let document = document?;
        call("HcsCreateProcess", format!("{id} {document}"), |world: &mut World| {
            child::start(world, &id, &parse(&document)?)
        })
    });
    let raw = |end: Option<OwnedHandle>| end.map_or(null_mut(), IntoRawHandle::into_raw_handle);
    // SAFETY: As above.
    unsafe {
        say(
            started.map(|(child, pipes)| {
                *place = objects::open(Object::Process(child));
                *information = HCS_PROCESS_INFORMATION {
                    ProcessId: pipes.number,
                    Reserved: 0,
                    StdInput: raw(pipes.stdin),
                    StdOutput: raw(pipes.stdout),
                    StdError: raw(pipes.stderr),
                };
            }),
            said,
        )
    }
}

/// # Safety
/// The places must be valid.
pub(crate) unsafe fn get_process_properties(
    process: *mut c_void,
    properties: *mut *mut u16,
    said: *mut *mut u16,
) -> i32 {
    let status = objects::process(process).and_then(|process| {
        call("HcsGetProcessProperties", process.number.to_string(), |_| Ok(process.status()))
    });
    // SAFETY: As is asked of the caller.
    unsafe { say(status.map(|status| text::leave(Some(&status), properties)), said) }
}

pub(crate) fn terminate_process(process: *mut c_void, said: *mut *mut u16) -> i32 {
    let ended = objects::process(process)
        .and_then(|process| call("HcsTerminateProcess", process.number.to_string(), |_| process.terminate()));
    // SAFETY: The place is that of a caller who wants a document.
    unsafe { say(ended, said) }
}

/// # Safety
/// The place must be valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsRegisterComputeSystemCallback(
    system: *mut c_void,
    callback: Callback,
    context: *const c_void,
    place: *mut *mut c_void,
) -> i32 {
    let number = system.addr();
    if !lock(&NOTICES).contains_key(&number) {
        return INVALID_HANDLE.cast_signed();
    }
    let context = context.addr();
    result(call("HcsRegisterComputeSystemCallback", "", |_| Ok(())).map(|()| {
        // SAFETY: As is asked of the caller.
        unsafe { *place = objects::open(Object::Listening(number)) };
        lock(&NOTICES).entry(number).or_default().listener = Some((context, callback));
        thread::spawn(move || tell(number));
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsUnregisterComputeSystemCallback(listening: *mut c_void) -> i32 {
    let Some(Object::Listening(number)) = objects::close(listening) else {
        return INVALID_HANDLE.cast_signed();
    };
    // Whoever tells holds the lock, so nobody is told any more when this returns.
    if let Some(notices) = lock(&NOTICES).get_mut(&number) {
        notices.listener = None;
    }
    0
}

/// # Safety
/// The place must be valid.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcsRegisterProcessCallback(
    process: *mut c_void,
    callback: Callback,
    context: *const c_void,
    place: *mut *mut c_void,
) -> i32 {
    let context = context.addr();
    result(objects::process(process).and_then(|process| {
        call("HcsRegisterProcessCallback", "", |_| Ok(()))?;
        process.listen(Some(Box::new(move |status| {
            let mut document = null_mut();
            // SAFETY: There is place for the document, which belongs to who is called.
            unsafe {
                text::leave(Some(status), &raw mut document);
                callback(PROCESS_EXITED, without_provenance(context), 0, document);
            }
        })));
        // SAFETY: As is asked of the caller.
        unsafe { *place = objects::open(Object::Process(process)) };
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "system" fn HcsUnregisterProcessCallback(listening: *mut c_void) -> i32 {
    let Some(Object::Process(process)) = objects::close(listening) else {
        return INVALID_HANDLE.cast_signed();
    };
    process.listen(None);
    0
}

#[unsafe(no_mangle)]
extern "system" fn HcsShutdownComputeSystem(
    system: *mut c_void,
    options: *const c_void,
    said: *mut *mut u16,
) -> i32 {
    end("HcsShutdownComputeSystem", system, options, said)
}

/// Does something to a system that is told of later, unless it fails at once.
fn act(
    system: *mut c_void,
    options: *const c_void,
    said: *mut *mut u16,
    kind: u32,
    body: impl FnOnce(&str) -> Outcome<()>,
) -> i32 {
    let done = objects::system(system).and_then(|id| {
        // SAFETY: A text of a caller ends with a zero.
        if !unsafe { text::read(options.cast()) }?.is_empty() {
            return Err(Failure::at_once(INVALID_ARGUMENT, "nobody knows these options"));
        }
        body(&id)
    });
    match done {
        // SAFETY: The place is that of a caller who wants a document.
        Err(failure) if failure.at_once => unsafe { say(Err(failure), said) },
        done => later(system, kind, done),
    }
}

/// Tells of something later.
fn later(system: *mut c_void, kind: u32, done: Outcome<()>) -> i32 {
    let number = system.addr();
    let notice = match done {
        Ok(()) => (kind, 0, None),
        Err(failure) => (kind, failure.code.cast_signed(), Some(failure.document())),
    };
    lock(&NOTICES).entry(number).or_default().waiting.push(notice);
    thread::spawn(move || tell(number));
    PENDING
}

/// Tells the listener of a system what waits for it.
fn tell(number: usize) {
    let mut all = lock(&NOTICES);
    let Some(notices) = all.get_mut(&number) else { return };
    let Some((context, callback)) = notices.listener else { return };
    for (kind, status, document) in notices.waiting.drain(..) {
        let mut place = null_mut();
        // SAFETY: There is place for the document, which belongs to who is called.
        unsafe {
            text::leave(document.as_deref(), &raw mut place);
            callback(kind, without_provenance(context), status, place);
        }
    }
}

/// Returns the result of a call that is done, with the document of a failure.
///
/// # Safety
/// The place must be null or valid.
unsafe fn say(done: Outcome<()>, place: *mut *mut u16) -> i32 {
    let document = done.as_ref().err().map(Failure::document);
    // SAFETY: As is asked of the caller.
    unsafe { text::leave(document.as_deref(), place) };
    result(done)
}

//! What the handles of this process stand for. A handle is a number that leads to its object, so that one that is used
//! after it was closed is told from one that is not.

use std::{
    collections::BTreeMap,
    ffi::c_void,
    ptr::without_provenance_mut,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    child::{Child, Pipes},
    failure::{Failure, INVALID_HANDLE, OPERATION_ALREADY_STARTED, OPERATION_NOT_STARTED, Outcome},
};

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Operation(Arc<Mutex<Operation>>),
    System(String),
    Process(Arc<Child>),
    /// Of the network of this id.
    Network(String),
    /// Of the namespace of this id.
    Namespace(String),
    /// Of an endpoint, which nobody asks for anything by it.
    Endpoint,
    /// Who listens to the system whose handle has this number.
    Listening(usize),
}

/// An operation.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    result: Option<Outcome<Option<String>>>,
    pipes: Option<Pipes>,
}

/// The number of the next handle.
static LAST: AtomicUsize = AtomicUsize::new(0x1000);
static OBJECTS: Mutex<BTreeMap<usize, Object>> = Mutex::new(BTreeMap::new());

/// A handle for an object.
pub(crate) fn open(object: Object) -> *mut c_void {
    let mut objects = lock(&OBJECTS);
    // No number is used again, so that a handle that was closed leads nowhere.
    let number = LAST.fetch_add(8, Ordering::Relaxed);
    objects.insert(number, object);
    without_provenance_mut(number)
}

/// Takes a handle back.
pub(crate) fn close(handle: *mut c_void) -> Option<Object> {
    lock(&OBJECTS).remove(&handle.addr())
}

/// What a handle stands for, which stays open.
pub(crate) fn of(handle: *mut c_void) -> Option<Object> {
    lock(&OBJECTS).get(&handle.addr()).cloned()
}

/// The operation of a handle.
pub(crate) fn operation(handle: *mut c_void) -> Outcome<Arc<Mutex<Operation>>> {
    match lock(&OBJECTS).get(&handle.addr()) {
        Some(Object::Operation(operation)) => Ok(Arc::clone(operation)),
        _ => Err(Failure::at_once(INVALID_HANDLE, "this is not the handle of an operation")),
    }
}

/// The id of the compute system of a handle.
pub(crate) fn system(handle: *mut c_void) -> Outcome<String> {
    match lock(&OBJECTS).get(&handle.addr()) {
        Some(Object::System(id)) if !id.is_empty() => Ok(id.clone()),
        _ => Err(Failure::at_once(INVALID_HANDLE, "this is not the handle of a compute system")),
    }
}

/// Lets the handle of a system that could not be created lead to none.
pub(crate) fn forget_system(handle: *mut c_void) {
    if let Some(object) = lock(&OBJECTS).get_mut(&handle.addr()) {
        *object = Object::System(String::new());
    }
}

/// The process of a handle.
pub(crate) fn process(handle: *mut c_void) -> Outcome<Arc<Child>> {
    match lock(&OBJECTS).get(&handle.addr()) {
        Some(Object::Process(process)) => Ok(Arc::clone(process)),
        _ => Err(Failure::at_once(INVALID_HANDLE, "this is not the handle of a process")),
    }
}

/// Does what an operation tracks, and keeps its result for whoever waits.
pub(crate) fn track(
    handle: *mut c_void,
    body: impl FnOnce(&mut Option<Pipes>) -> Outcome<Option<String>>,
) -> Outcome<()> {
    let operation = operation(handle)?;
    let mut operation = lock(&operation);
    if operation.result.is_some() {
        return Err(Failure::at_once(OPERATION_ALREADY_STARTED, "the operation was used before"));
    }
    let result = body(&mut operation.pipes);
    if let Err(failure) = &result
        && failure.at_once
    {
        return Err(failure.clone());
    }
    operation.result = Some(result);
    Ok(())
}

/// The result of an operation, its document, and the pipes of the process that it started.
pub(crate) fn wait(handle: *mut c_void) -> Outcome<(i32, Option<String>, Option<Pipes>)> {
    let operation = operation(handle)?;
    let mut operation = lock(&operation);
    let pipes = operation.pipes.take();
    match &operation.result {
        None => Err(Failure::at_once(OPERATION_NOT_STARTED, "the operation was not used")),
        Some(Ok(document)) => Ok((0, document.clone(), pipes)),
        Some(Err(failure)) => Ok((failure.code.cast_signed(), Some(failure.document()), None)),
    }
}

/// Nothing that these hold is ever half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What `computenetwork.dll` exports.
//!
//! JUSTIFICATION: callers come from elsewhere, with pointers.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ffi::c_void, ptr::null_mut};

use serde_json::json;
use windows_sys::core::GUID;

use crate::{
    failure::{Failure, INVALID_ARGUMENT, INVALID_HANDLE, Outcome},
    objects::{self, Object},
    text,
    world::{call, guid, spelled},
};

/// # Safety
/// The query must be null or end with a zero, and the places must be valid or null.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnEnumerateNetworks(
    query: *const u16,
    networks: *mut *mut u16,
    record: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let query = text::read(query);
        let done = query
            .and_then(|query| call("HcnEnumerateNetworks", &query, |world| world.enumerate_networks(&query)));
        given(done, networks, record)
    }
}

/// # Safety
/// The id must be valid or null, and so must the places be.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnOpenNetwork(
    id: *const GUID,
    place: *mut *mut c_void,
    record: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done = read(id).and_then(|id| {
            call("HcnOpenNetwork", &id, |world| world.network(&id).map(drop))?;
            Ok(Object::Network(id))
        });
        opened(done, place, record)
    }
}

/// # Safety
/// The query must be null or end with a zero, and the places must be valid or null.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnQueryNetworkProperties(
    network: *mut c_void,
    query: *const u16,
    properties: *mut *mut u16,
    record: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done = text::read(query).and_then(|query| {
            let id = self::network(network)?;
            call("HcnQueryNetworkProperties", &id, |world| world.query_network(&id, &query))
        });
        given(done, properties, record)
    }
}

#[unsafe(no_mangle)]
extern "system" fn HcnCloseNetwork(network: *mut c_void) -> i32 {
    closed(objects::close(network), |object| matches!(object, Object::Network(_)))
}

/// # Safety
/// The id must be valid or null, the settings must be null or end with a zero, and the places must be valid or null.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnCreateNamespace(
    id: *const GUID,
    settings: *const u16,
    place: *mut *mut c_void,
    record: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done = read(id).and_then(|id| {
            let settings = text::read(settings)?;
            let about = format!("{id} {settings}");
            call("HcnCreateNamespace", about, |world| world.create_namespace(&id, &settings))?;
            Ok(Object::Namespace(id))
        });
        opened(done, place, record)
    }
}

/// # Safety
/// As [`HcnOpenNetwork`].
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnOpenNamespace(
    id: *const GUID,
    place: *mut *mut c_void,
    record: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done = read(id).and_then(|id| {
            call("HcnOpenNamespace", &id, |world| world.namespace(&id).map(drop))?;
            Ok(Object::Namespace(id))
        });
        opened(done, place, record)
    }
}

/// # Safety
/// The request must be null or end with a zero, and the place must be valid or null.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnModifyNamespace(
    namespace: *mut c_void,
    request: *const u16,
    record: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done = text::read(request).and_then(|request| {
            let id = self::namespace(namespace)?;
            let about = format!("{id} {request}");
            call("HcnModifyNamespace", about, |world| world.modify_namespace(&id, &request))
        });
        told(done, record)
    }
}

/// # Safety
/// The id must be valid or null, and so must the place be.
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnDeleteNamespace(id: *const GUID, record: *mut *mut u16) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done =
            read(id).and_then(|id| call("HcnDeleteNamespace", &id, |world| world.delete_namespace(&id)));
        told(done, record)
    }
}

#[unsafe(no_mangle)]
extern "system" fn HcnCloseNamespace(namespace: *mut c_void) -> i32 {
    closed(objects::close(namespace), |object| matches!(object, Object::Namespace(_)))
}

/// # Safety
/// As [`HcnCreateNamespace`].
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnCreateEndpoint(
    network: *mut c_void,
    id: *const GUID,
    settings: *const u16,
    place: *mut *mut c_void,
    record: *mut *mut u16,
) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done = read(id).and_then(|id| {
            let (settings, network) = (text::read(settings)?, self::network(network)?);
            let about = format!("{id} {settings}");
            call("HcnCreateEndpoint", about, |world| world.create_endpoint(&network, &id, &settings))?;
            Ok(Object::Endpoint)
        });
        opened(done, place, record)
    }
}

/// # Safety
/// As [`HcnDeleteNamespace`].
#[unsafe(no_mangle)]
unsafe extern "system" fn HcnDeleteEndpoint(id: *const GUID, record: *mut *mut u16) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        let done = read(id).and_then(|id| call("HcnDeleteEndpoint", &id, |world| world.delete_endpoint(&id)));
        told(done, record)
    }
}

#[unsafe(no_mangle)]
extern "system" fn HcnCloseEndpoint(endpoint: *mut c_void) -> i32 {
    closed(objects::close(endpoint), |object| matches!(object, Object::Endpoint))
}

/// # Safety
/// The id must be valid or null.
unsafe fn read(id: *const GUID) -> Outcome<String> {
    // SAFETY: As is asked of the caller.
    let id = unsafe { id.as_ref() };
    id.map(|id| spelled(guid(id))).ok_or_else(|| Failure::new(INVALID_ARGUMENT, "there is no id"))
}

fn network(handle: *mut c_void) -> Outcome<String> {
    match objects::of(handle) {
        Some(Object::Network(id)) => Ok(id),
        _ => Err(Failure::new(INVALID_HANDLE, "this is not the handle of a network")),
    }
}

fn namespace(handle: *mut c_void) -> Outcome<String> {
    match objects::of(handle) {
        Some(Object::Namespace(id)) => Ok(id),
        _ => Err(Failure::new(INVALID_HANDLE, "this is not the handle of a namespace")),
    }
}

fn closed(object: Option<Object>, is_right: impl FnOnce(&Object) -> bool) -> i32 {
    if object.as_ref().is_some_and(is_right) { 0 } else { INVALID_HANDLE.cast_signed() }
}

/// Leaves a handle, or the record of an error.
///
/// # Safety
/// The places must be valid or null.
unsafe fn opened(done: Outcome<Object>, place: *mut *mut c_void, record: *mut *mut u16) -> i32 {
    let done = done.and_then(|object| {
        if place.is_null() {
            return Err(Failure::new(INVALID_ARGUMENT, "there is no place for the handle"));
        }
        // SAFETY: As is asked of the caller.
        unsafe { *place = objects::open(object) };
        Ok(())
    });
    if done.is_err() && !place.is_null() {
        // SAFETY: As is asked of the caller.
        unsafe { *place = null_mut() };
    }
    // SAFETY: As is asked of the caller.
    unsafe { told(done, record) }
}

/// Leaves a document, or the record of an error.
///
/// # Safety
/// The places must be valid or null.
unsafe fn given(done: Outcome<String>, place: *mut *mut u16, record: *mut *mut u16) -> i32 {
    // SAFETY: As is asked of the caller.
    unsafe {
        text::leave_as_task(done.as_deref().ok(), place);
        told(done.map(drop), record)
    }
}

/// Leaves the record of an error, if there is one.
///
/// # Safety
/// The place must be valid or null.
unsafe fn told(done: Outcome<()>, record: *mut *mut u16) -> i32 {
    let (result, said) = match done {
        Ok(()) => (0, None),
        Err(Failure { code, message, .. }) => {
            let said = json!({ "Success": false, "Error": message, "ErrorCode": code }).to_string();
            (code.cast_signed(), Some(said))
        }
    };
    // SAFETY: As is asked of the caller.
    unsafe { text::leave_as_task(said.as_deref(), record) };
    result
}

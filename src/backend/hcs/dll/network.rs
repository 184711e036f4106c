//! Networks of containers, by the functions of `computenetwork.dll`.
//!
//! JUSTIFICATION: the functions take and give pointers to ids, to text and to handles.
//!
//! Sources: Microsoft, "RPC context handles for HCN"
//! (<https://learn.microsoft.com/windows-server/networking/technologies/hcn/hcn-declaration-handles>); hcsshim, `hcn`, for
//! what a record of an error means.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{ffi::c_void, ptr::null_mut};

use windows_sys::core::GUID;

use super::{
    failure::check_with,
    layers::to_windows,
    library::functions,
    text::{Document, wide},
};
use crate::backend::hcs::{Guid, HcsResult};

functions! {
    /// The functions of `computenetwork.dll` that are called.
    struct Functions {
        c"HcnEnumerateNetworks" fn enumerate_networks(
            query: *const u16, networks: *mut *mut u16, record: *mut *mut u16,
        ) -> i32;
        c"HcnOpenNetwork" fn open_network(
            id: *const GUID, network: *mut *mut c_void, record: *mut *mut u16,
        ) -> i32;
        c"HcnQueryNetworkProperties" fn query_network(
            network: *mut c_void, query: *const u16, properties: *mut *mut u16, record: *mut *mut u16,
        ) -> i32;
        c"HcnCloseNetwork" fn close_network(network: *mut c_void) -> i32;
        c"HcnCreateNamespace" fn create_namespace(
            id: *const GUID, settings: *const u16, namespace: *mut *mut c_void, record: *mut *mut u16,
        ) -> i32;
        c"HcnOpenNamespace" fn open_namespace(
            id: *const GUID, namespace: *mut *mut c_void, record: *mut *mut u16,
        ) -> i32;
        c"HcnModifyNamespace" fn modify_namespace(
            namespace: *mut c_void, request: *const u16, record: *mut *mut u16,
        ) -> i32;
        c"HcnDeleteNamespace" fn delete_namespace(id: *const GUID, record: *mut *mut u16) -> i32;
        c"HcnCloseNamespace" fn close_namespace(namespace: *mut c_void) -> i32;
        c"HcnCreateEndpoint" fn create_endpoint(
            network: *mut c_void, id: *const GUID, settings: *const u16, endpoint: *mut *mut c_void,
            record: *mut *mut u16,
        ) -> i32;
        c"HcnDeleteEndpoint" fn delete_endpoint(id: *const GUID, record: *mut *mut u16) -> i32;
        c"HcnCloseEndpoint" fn close_endpoint(endpoint: *mut c_void) -> i32;
    }
}

/// Which function gives a handle back.
type Close = unsafe fn(&Functions, *mut c_void) -> HcsResult<i32>;

/// A handle of an object. What it stands for stays when it is dropped.
struct Handle<'f> {
    functions: &'f Functions,
    object: *mut c_void,
    close: Close,
}

impl<'f> Handle<'f> {
    /// The handle that a call gives.
    fn of(
        functions: &'f Functions,
        call: &'static str,
        close: Close,
        make: impl FnOnce(*mut *mut c_void, *mut *mut u16) -> HcsResult<i32>,
    ) -> HcsResult<Self> {
        let mut handle = Self { functions, object: null_mut(), close };
        let place = &raw mut handle.object;
        recorded(call, |record| make(place, record))?;
        Ok(handle)
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        if !self.object.is_null() {
            // SAFETY: The handle is open, nobody else has it, and it is of the kind that the function closes.
            let _ = unsafe { (self.close)(self.functions, self.object) };
        }
    }
}

/// The functions about networks.
#[derive(Debug)]
pub(super) struct Networks(Functions);

impl Networks {
    pub(super) const fn new() -> Self {
        Self(Functions::of("computenetwork.dll"))
    }

    pub(super) fn enumerate(&self, query: &str) -> HcsResult<String> {
        const CALL: &str = "HcnEnumerateNetworks";
        // Whoever begins with this goes on to make what another function removes.
        self.0.complete()?;
        let query = wide(CALL, query.as_ref())?;
        let mut networks = Document::of_network();
        let place = networks.place();
        recorded(CALL, |record| {
            // SAFETY: The query ends with a zero, and there are places for both documents.
            unsafe { self.0.enumerate_networks(query.as_ptr(), place, record) }
        })?;
        Ok(networks.text().unwrap_or_default())
    }

    pub(super) fn query(&self, id: Guid, query: &str) -> HcsResult<String> {
        const CALL: &str = "HcnQueryNetworkProperties";
        let query = wide(CALL, query.as_ref())?;
        let network = self.open(id)?;
        let mut properties = Document::of_network();
        let place = properties.place();
        recorded(CALL, |record| {
            // SAFETY: The handle is open, the query ends with a zero, and there are places for both documents.
            unsafe { self.0.query_network(network.object, query.as_ptr(), place, record) }
        })?;
        Ok(properties.text().unwrap_or_default())
    }

    pub(super) fn create_namespace(&self, id: Guid, settings: &str) -> HcsResult<()> {
        const CALL: &str = "HcnCreateNamespace";
        let (id, settings) = (to_windows(id), wide(CALL, settings.as_ref())?);
        Handle::of(&self.0, CALL, Functions::close_namespace, |place, record| {
            // SAFETY: The settings end with a zero, and there are places for a handle and a document.
            unsafe { self.0.create_namespace(&raw const id, settings.as_ptr(), place, record) }
        })
        .map(drop)
    }

    pub(super) fn modify_namespace(&self, id: Guid, request: &str) -> HcsResult<()> {
        const CALL: &str = "HcnModifyNamespace";
        let (id, request) = (to_windows(id), wide(CALL, request.as_ref())?);
        let namespace =
            Handle::of(&self.0, "HcnOpenNamespace", Functions::close_namespace, |place, record| {
                // SAFETY: There is an id, and there are places for a handle and a document.
                unsafe { self.0.open_namespace(&raw const id, place, record) }
            })?;
        recorded(CALL, |record| {
            // SAFETY: The handle is open, the request ends with a zero, and there is place for a document.
            unsafe { self.0.modify_namespace(namespace.object, request.as_ptr(), record) }
        })
    }

    pub(super) fn delete_namespace(&self, id: Guid) -> HcsResult<()> {
        let id = to_windows(id);
        recorded("HcnDeleteNamespace", |record| {
            // SAFETY: There is an id, and there is place for a document.
            unsafe { self.0.delete_namespace(&raw const id, record) }
        })
    }

    pub(super) fn create_endpoint(&self, network: Guid, id: Guid, settings: &str) -> HcsResult<()> {
        const CALL: &str = "HcnCreateEndpoint";
        let (id, settings) = (to_windows(id), wide(CALL, settings.as_ref())?);
        let network = self.open(network)?;
        Handle::of(&self.0, CALL, Functions::close_endpoint, |place, record| {
            let settings = settings.as_ptr();
            // SAFETY: The handle is open, the settings end with a zero, and there are places for a handle and a document.
            unsafe { self.0.create_endpoint(network.object, &raw const id, settings, place, record) }
        })
        .map(drop)
    }

    pub(super) fn delete_endpoint(&self, id: Guid) -> HcsResult<()> {
        let id = to_windows(id);
        recorded("HcnDeleteEndpoint", |record| {
            // SAFETY: There is an id, and there is place for a document.
            unsafe { self.0.delete_endpoint(&raw const id, record) }
        })
    }

    fn open(&self, id: Guid) -> HcsResult<Handle<'_>> {
        let id = to_windows(id);
        Handle::of(&self.0, "HcnOpenNetwork", Functions::close_network, |place, record| {
            // SAFETY: There is an id, and there are places for a handle and a document.
            unsafe { self.0.open_network(&raw const id, place, record) }
        })
    }
}

/// Makes a call that leaves a record of its error. Whoever leaves one has failed, whatever else it says.
fn recorded(call: &'static str, make: impl FnOnce(*mut *mut u16) -> HcsResult<i32>) -> HcsResult<()> {
    let mut record = Document::of_network();
    let result = make(record.place())?;
    let text = record.text();
    check_with(call, result, text.as_deref())?;
    match text.as_deref().and_then(code) {
        Some(code) => check_with(call, code, text.as_deref()),
        None => Ok(()),
    }
}

/// The number in a record of an error, which Windows writes without its sign.
fn code(record: &str) -> Option<i32> {
    let record: serde_json::Value = serde_json::from_str(record).ok()?;
    let number = record["ErrorCode"].as_i64()?;
    let number = i32::try_from(number).ok().or_else(|| u32::try_from(number).ok().map(u32::cast_signed))?;
    (number < 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::hcs::HcsError;

    fn leave(result: i32, record: &str) -> Result<(), (u32, Option<String>)> {
        let units: Vec<u16> = record.encode_utf16().chain([0]).collect();
        let made = recorded("F", |place| {
            // SAFETY: The memory has the size of all units, and is given to the place that frees it.
            unsafe {
                let memory = windows_sys::Win32::System::Com::CoTaskMemAlloc(units.len() * 2).cast::<u16>();
                memory.copy_from_nonoverlapping(units.as_ptr(), units.len());
                *place = memory;
            }
            Ok(result)
        });
        made.map_err(|error: HcsError| (error.code, error.detail))
    }

    #[test]
    fn whoever_leaves_a_record_of_an_error_has_failed() {
        let record = r#"{"Success":false,"Error":"Element not found. ","ErrorCode":2147943568}"#;
        let said = Some("Element not found.".to_owned());
        assert_eq!(leave(0, record), Err((0x8007_0490, said.clone())));
        assert_eq!(leave(0x803B_0002_u32.cast_signed(), record), Err((0x803B_0002, said)));
        for harmless in ["", "{}", r#"{"Success":true,"ErrorCode":0}"#] {
            assert_eq!(leave(0, harmless), Ok(()), "{harmless}");
        }
    }
}

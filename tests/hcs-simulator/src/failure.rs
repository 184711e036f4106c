//! What a call fails with.

use std::io;

use serde_json::json;

/// An HRESULT, and why.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: u32,
    pub(crate) message: String,
    /// That the call itself fails, and not the operation that it begins.
    pub(crate) at_once: bool,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

pub(crate) const FILE_NOT_FOUND: u32 = 0x8007_0002;
pub(crate) const PATH_NOT_FOUND: u32 = 0x8007_0003;
pub(crate) const INVALID_HANDLE: u32 = 0x8007_0006;
pub(crate) const INVALID_DATA: u32 = 0x8007_000D;
pub(crate) const NOT_READY: u32 = 0x8007_0015;
pub(crate) const SHARING_VIOLATION: u32 = 0x8007_0020;
pub(crate) const FILE_EXISTS: u32 = 0x8007_0050;
pub(crate) const INVALID_ARGUMENT: u32 = 0x8007_0057;
pub(crate) const INVALID_STATE: u32 = 0x8037_0105;
pub(crate) const INVALID_JSON: u32 = 0x8037_010D;
pub(crate) const ALREADY_EXISTS: u32 = 0x8007_00B7;
pub(crate) const SYSTEM_NOT_FOUND: u32 = 0x8037_010E;
pub(crate) const SYSTEM_ALREADY_EXISTS: u32 = 0x8037_010F;
pub(crate) const SYSTEM_ALREADY_STOPPED: u32 = 0x8037_0110;
pub(crate) const SERVICE_NOT_AVAILABLE: u32 = 0x8037_0114;
pub(crate) const OPERATION_NOT_STARTED: u32 = 0x8037_0115;
pub(crate) const OPERATION_ALREADY_STARTED: u32 = 0x8037_0116;
pub(crate) const PROCESS_ALREADY_STOPPED: u32 = 0x8037_011F;

impl Failure {
    /// The failure of an operation.
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), at_once: false }
    }

    /// The failure of a call.
    pub(crate) fn at_once(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), at_once: true }
    }

    /// The `ResultError` document of it.
    pub(crate) fn document(&self) -> String {
        json!({ "Error": self.code.cast_signed(), "ErrorMessage": self.message }).to_string()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let code = error.raw_os_error().map_or(0x8000_4005, |number| 0x8007_0000 | number.cast_unsigned());
        Self::new(code, error.to_string())
    }
}

/// The HRESULT of a call that begins nothing.
pub(crate) fn result(outcome: Outcome<()>) -> i32 {
    outcome.map_or_else(|failure| failure.code.cast_signed(), |()| 0)
}

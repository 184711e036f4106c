//! What Windows answers to whoever asks for what cannot be.

use crate::backend::hcs::error::HcsError;

/// `E_INVALIDARG`.
pub(super) const INVALID_ARGUMENT: u32 = 0x8007_0057;
/// `HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS)`.
pub(super) const ALREADY_EXISTS: u32 = 0x8007_00B7;
/// `HRESULT_FROM_WIN32(ERROR_FILE_EXISTS)`.
pub(super) const FILE_EXISTS: u32 = 0x8007_0050;
/// `HRESULT_FROM_WIN32(ERROR_INVALID_STATE)`.
pub(super) const WRONG_STATE: u32 = 0x8007_139F;
/// `HRESULT_FROM_WIN32(ERROR_NO_SUCH_USER)`.
pub(super) const NO_SUCH_USER: u32 = 0x8007_0525;
/// `HRESULT_FROM_WIN32(ERROR_INVALID_DATA)`.
pub(super) const INVALID_DATA: u32 = 0x8007_000D;
/// `HRESULT_FROM_WIN32(ERROR_BUSY)`.
pub(super) const BUSY: u32 = 0x8007_00AA;

/// A call that fails, and why, for whoever reads a test's output.
pub(super) fn refused<T>(call: &'static str, code: u32, why: impl Into<String>) -> Result<T, HcsError> {
    Err(HcsError { call, code, detail: Some(why.into()) })
}

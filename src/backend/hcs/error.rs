//! What Windows says when a call fails.

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed with 0x{code:08X}{}", detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}")))]
pub struct HcsError {
    /// The function, as the library names it.
    pub call: &'static str,
    /// The HRESULT; errors of Win32 are in `0x8007....`.
    pub code: u32,
    /// What the result document or the system says besides.
    pub detail: Option<String>,
}

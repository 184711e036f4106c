//! Compute systems of the older schema, which `computecore.dll` does not document and systems of which it does not
//! start: they have their own functions, in `vmcompute.dll`.
//!
//! Source: hcsshim, `internal/vmcompute` and `internal/hcs`, for their names, arguments and notifications.

mod functions;
mod process;
mod system;

pub(super) use functions::OlderCompute;
pub(super) use system::System;

/// Whether a document is of the older schema, the only one that names the type of a system.
pub(super) fn describes(document: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(document).is_ok_and(|value| value.get("SystemType").is_some())
}

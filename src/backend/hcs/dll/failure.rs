//! What a call that failed has said, as an [`HcsError`].

use std::io;

use serde_json::Value;

use crate::backend::hcs::{HcsError, HcsResult};

/// Errors of Win32 as HRESULTs.
const WIN32: u32 = 0x8007_0000;

/// Judges what a call returned. Every HRESULT that is not negative is a success.
pub(super) fn check(call: &'static str, result: i32) -> HcsResult<()> {
    check_with(call, result, None)
}

/// As [`check`], with the document that the call left.
pub(super) fn check_with(call: &'static str, result: i32, document: Option<&str>) -> HcsResult<()> {
    if result >= 0 {
        return Ok(());
    }
    let code = result.cast_unsigned();
    Err(HcsError { call, code, detail: document.and_then(explained).or_else(|| system_says(code)) })
}

/// What the last call of this thread failed with, which must have been one of Win32.
pub(super) fn last(call: &'static str) -> HcsError {
    of(call, &io::Error::last_os_error())
}

/// An error of Rust's standard library, which has that of Win32 in it.
pub(super) fn of(call: &'static str, error: &io::Error) -> HcsError {
    let Some(number) = error.raw_os_error() else {
        // E_FAIL: what went wrong was not in Windows.
        return HcsError { call, code: 0x8000_4005, detail: Some(error.to_string()) };
    };
    let number = number.cast_unsigned();
    let code = if number <= 0xFFFF { WIN32 | number } else { number };
    HcsError { call, code, detail: system_says(code) }
}

/// What a `ResultError` document says in words, or the `ErrorRecord` of a call about networks; the document itself if it
/// is neither.
///
/// Sources: Microsoft, "HCS schema reference", `ResultError`; "Common scenarios" of the Host Compute Network.
fn explained(document: &str) -> Option<String> {
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let events = parsed["ErrorEvents"].as_array().into_iter().flatten().map(|event| &event["Message"]);
    let said: Vec<&str> = [&parsed["ErrorMessage"], &parsed["Error"]]
        .into_iter()
        .chain(events)
        .filter_map(Value::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    let text = if said.is_empty() { document.trim().to_owned() } else { said.join(" ") };
    (!text.is_empty()).then_some(text)
}

/// The system's own text for a code, if it has one.
fn system_says(code: u32) -> Option<String> {
    let number = if code & 0xFFFF_0000 == WIN32 { code & 0xFFFF } else { code };
    let text = io::Error::from_raw_os_error(number.cast_signed()).to_string();
    let (said, _) = text.rsplit_once(" (os error")?;
    // Otherwise it is the standard library that tells that the system has no text.
    (!said.starts_with("OS Error ")).then(|| said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_says_more_than_the_number() {
        let error = check_with("F", 0x8037_0101_u32.cast_signed(), Some(r#"{"ErrorMessage":"no match "}"#));
        assert_eq!(
            error,
            Err(HcsError { call: "F", code: 0x8037_0101, detail: Some("no match".to_owned()) })
        );
        let record = r#"{"Success":false,"Error":"Element not found. ","ErrorCode":2147943568}"#;
        let error = check_with("F", -1, Some(record)).expect_err("a failure");
        assert_eq!(error.detail.as_deref(), Some("Element not found."));
        let error = check_with("F", -1, Some("plain words")).expect_err("a failure");
        assert_eq!(error.detail.as_deref(), Some("plain words"));
        let events = r#"{"Error":-1,"ErrorEvents":[{"Message":"a"},{"Message":"b"}]}"#;
        assert_eq!(check_with("F", -1, Some(events)).expect_err("a failure").detail.as_deref(), Some("a b"));
    }

    #[test]
    fn errors_of_win32_become_results_with_their_text() {
        let error = of("F", &io::Error::from_raw_os_error(5));
        assert_eq!(error.code, 0x8007_0005);
        assert!(error.detail.is_some_and(|detail| !detail.contains("os error")));
        assert!(check("F", 1).is_ok());
    }
}

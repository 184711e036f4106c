//! Other forms of values: JSON, base64, addresses and digests.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256, Sha512};

use super::{super::value::Value, arguments::exactly};

/// What stands for itself in an address, as Go has it.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

pub(super) fn jsonencode(values: &[Value]) -> Result<Value, String> {
    let [value] = exactly(values)?;
    Ok(value.to_json().to_string().into())
}

pub(super) fn jsondecode(values: &[Value]) -> Result<Value, String> {
    let [text] = exactly(values)?;
    serde_json::from_str(&text.text()?).map_err(|error| error.to_string())
}

pub(super) fn base64encode(values: &[Value]) -> Result<Value, String> {
    let [text] = exactly(values)?;
    Ok(STANDARD.encode(text.text()?).into())
}

pub(super) fn base64decode(values: &[Value]) -> Result<Value, String> {
    let [text] = exactly(values)?;
    let bytes = STANDARD.decode(text.text()?).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map(Value::Text).map_err(|_| "what comes out is no text".into())
}

pub(super) fn urlencode(values: &[Value]) -> Result<Value, String> {
    let [text] = exactly(values)?;
    Ok(utf8_percent_encode(&text.text()?, QUERY).to_string().replace(' ', "+").into())
}

pub(super) fn sha256(values: &[Value]) -> Result<Value, String> {
    let [text] = exactly(values)?;
    Ok(hex(&Sha256::digest(text.text()?)).into())
}

pub(super) fn sha512(values: &[Value]) -> Result<Value, String> {
    let [text] = exactly(values)?;
    Ok(hex(&Sha512::digest(text.text()?)).into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A text can be written to without fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! What a registry's refusals mean.

use std::time::{Duration, SystemTime};

use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::{connection, error::RegistryError, retry::retry_after};

/// The most of an error answer that is read, in bytes.
const LARGEST_ERROR: u64 = 64 << 10;

/// Who asked, for the meaning of a refusal.
#[derive(Clone, Debug, Default)]
pub(super) struct Asker {
    /// Where the credentials are from, if there were any.
    pub(super) origin: Option<String>,
    /// Whether a token server has taken the credentials, so that a refusal is not about who asked.
    pub(super) known: bool,
}

/// Whether a status says that the same request may succeed later.
pub(super) fn passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// What an answer that is no success means to `asker`.
pub(super) async fn answer_error(
    response: Response,
    registry: &str,
    what: &str,
    asker: &Asker,
    idle: Duration,
) -> RegistryError {
    let status = response.status();
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = header.and_then(|value| retry_after(value, SystemTime::now()));
    // A body that breaks off says less; the status says enough.
    let bytes = connection::body(response, registry, idle, LARGEST_ERROR).await;
    let (code, message) = words(&bytes.map(|(bytes, _)| bytes).unwrap_or_default());
    let (registry, what) = (registry.to_owned(), what.to_owned());
    match status {
        StatusCode::UNAUTHORIZED => match asker {
            Asker { origin: None, .. } => RegistryError::NoCredentials { registry, what },
            Asker { known: true, .. } => RegistryError::Denied { registry, what, message },
            Asker { origin: Some(origin), .. } => {
                RegistryError::WrongCredentials { registry, origin: origin.clone() }
            }
        },
        StatusCode::FORBIDDEN => RegistryError::Denied { registry, what, message },
        StatusCode::NOT_FOUND if code != "BLOB_UPLOAD_UNKNOWN" => {
            let says_no_more = matches!(code.as_str(), "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN");
            RegistryError::NotFound { what, message: if says_no_more { String::new() } else { message } }
        }
        StatusCode::TOO_MANY_REQUESTS => RegistryError::RateLimited { registry, retry_after: wait, message },
        status => RegistryError::Refused {
            registry,
            what,
            status: status.as_u16(),
            code,
            message,
            retry_after: wait,
        },
    }
}

/// The code and the words of an error answer (distribution specification, "Error Codes"), as far as it has any.
fn words(body: &[u8]) -> (String, String) {
    let text = |value: &Value| value.as_str().map(tidy).unwrap_or_default();
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let page = String::from_utf8_lossy(body);
        let page = if page.trim_start().starts_with('<') { "" } else { page.as_ref() };
        return (String::new(), tidy(page));
    };
    let first = &value["errors"][0];
    let message = [&first["message"], &value["message"], &value["details"], &value["error"]];
    let message = message.into_iter().map(text).find(|text| !text.is_empty());
    (text(&first["code"]), message.unwrap_or_default())
}

/// The first line, of at most 300 characters, without control characters.
fn tidy(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_real_registries_are_found() {
        for (body, code, message) in [
            (r#"{"errors":[{"code":"DENIED","message":"no","detail":[]}]}"#, "DENIED", "no"),
            (r#"{"details":"incorrect username or password"}"#, "", "incorrect username or password"),
            (r#"{"message":"Not Found"}"#, "", "Not Found"),
            ("unauthorized: access denied\nmore", "", "unauthorized: access denied"),
            ("<html><body>502</body></html>", "", ""),
            ("\u{1b}[31mred", "", "[31mred"),
            ("[]", "", ""),
            ("", "", ""),
        ] {
            assert_eq!(words(body.as_bytes()), (code.to_owned(), message.to_owned()), "{body}");
        }
    }
}

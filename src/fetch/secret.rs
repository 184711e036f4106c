//! Secrets of a build that say who asks.

use std::{env, fs};

use polyarch_actors::{SecretRef, SecretSource};

use super::error::FetchError;

/// The value of a secret, which has to be one line.
pub(super) fn value(secret: &SecretRef) -> Result<String, FetchError> {
    let unreadable = |reason: String| FetchError::Secret { id: secret.id.clone(), reason };
    let value = match &secret.source {
        SecretSource::File(path) => {
            fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?
        }
        SecretSource::Env(name) => env::var(name).map_err(|error| unreadable(error.to_string()))?,
    };
    let value = value.trim().to_owned();
    if value.contains(char::is_control) { Err(unreadable("it has several lines".into())) } else { Ok(value) }
}

/// The header `Authorization` for a web server, where a secret is for its host: a token goes before a whole header.
///
/// Source: BuildKit, `source/http/source.go` (`newHTTPRequest`).
pub(super) fn authorization(host: &str, secrets: &[SecretRef]) -> Result<Option<String>, FetchError> {
    let host = host.trim_matches(['[', ']']);
    let find = |name: &str| secrets.iter().find(|secret| secret.id == format!("{name}{host}"));
    if let Some(token) = find("HTTP_AUTH_TOKEN_") {
        return Ok(Some(format!("Bearer {}", value(token)?)));
    }
    find("HTTP_AUTH_HEADER_").map(value).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_for_its_host_alone_and_a_token_goes_before_a_header() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = |id: &str, text: &str| {
            let path = folder.path().join(id);
            fs::write(&path, text).expect("written");
            SecretRef { id: id.into(), source: SecretSource::File(path) }
        };
        let mut secrets =
            vec![secret("HTTP_AUTH_HEADER_a.example", "Basic x\n"), secret("HTTP_AUTH_TOKEN_::1", "six")];
        let header = |host: &str, secrets: &[SecretRef]| authorization(host, secrets).expect("readable");
        assert_eq!(header("a.example", &secrets).as_deref(), Some("Basic x"));
        assert_eq!(header("[::1]", &secrets).as_deref(), Some("Bearer six"));
        assert_eq!(header("b.a.example", &secrets), None);
        secrets.push(secret("HTTP_AUTH_TOKEN_a.example", "t"));
        assert_eq!(header("a.example", &secrets).as_deref(), Some("Bearer t"));
        secrets.push(secret("HTTP_AUTH_TOKEN_c", "one\ntwo"));
        let error = authorization("c", &secrets).expect_err("two lines").to_string();
        assert!(error.contains("HTTP_AUTH_TOKEN_c") && !error.contains("two"), "{error}");
    }
}

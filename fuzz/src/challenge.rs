//! `WWW-Authenticate` headers.

use polyarch::registry::fuzzing::challenge;

/// Reads the lines of the input as the headers of one answer.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let headers: Vec<&str> = text.lines().collect();
    let chosen = challenge(&headers);
    if let Some(Some(realm)) = &chosen {
        assert!(realm.len() <= text.len(), "a realm that nobody sent: {realm:?}");
        let with_password: Vec<&str> =
            std::iter::once("Basic realm=\"x\"").chain(headers.iter().copied()).collect();
        assert_eq!(challenge(&with_password), chosen, "a token goes before a password");
    } else {
        let with_token: Vec<&str> = headers.iter().copied().chain(["Bearer realm=\"r\""]).collect();
        assert_eq!(challenge(&with_token), Some(Some("r".to_owned())), "a token is found behind anything");
    }
}

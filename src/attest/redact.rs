//! Takes credentials out of addresses, wherever they stand in a text.

use serde_json::Value;

/// Takes the credentials out of every address in a document, in keys and values.
pub(super) fn document(value: Value) -> Value {
    match value {
        Value::String(string) => Value::String(text(&string)),
        Value::Array(values) => values.into_iter().map(document).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (text(&key), document(value))).collect()
        }
        other => other,
    }
}

/// Takes the credentials out of every address in a text. The user of ssh is no secret, and stays.
pub(super) fn text(whole: &str) -> String {
    let mut clean = String::with_capacity(whole.len());
    let mut rest = whole;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + "://".len());
        clean.push_str(before);
        // A password may have any character in it that ends no word; too much is better than a part of it.
        let word = behind.find(is_end).unwrap_or(behind.len());
        let authority = behind[..word].find('/').unwrap_or(word);
        let end = if behind[..authority].contains('@') { authority } else { word };
        let secret = match behind[..end].rfind('@') {
            // A slash in a password ends what looks like the host; where the path has an @, it has no password.
            Some(last) if last < authority || looks_like_password(&behind[..authority]) => last + 1,
            _ => 0,
        };
        if before.to_ascii_lowercase().ends_with("ssh://") && secret > 0 {
            clean.push_str(behind[..secret - 1].split(':').next().unwrap_or_default());
            clean.push('@');
        }
        rest = &behind[secret..];
    }
    clean.push_str(rest);
    clean
}

/// Whether what stands before the first slash is a user and the beginning of a password, rather than a host and a port.
fn looks_like_password(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(_, port)| port.is_empty() || port.bytes().any(|byte| !byte.is_ascii_digit()))
}

fn is_end(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || "\"'`<>".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn credentials_go_and_everything_else_stays() {
        for (given, left) in [
            ("https://user:pw@h/a", "https://h/a"),
            ("https://token@h:8080/a.git#b:c", "https://h:8080/a.git#b:c"),
            ("HTTP_PROXY=http://u:p#@ss@proxy:3128", "HTTP_PROXY=http://proxy:3128"),
            ("https://u:p/w@h/a", "https://h/a"),
            ("http://u:p?w@h", "http://h"),
            ("a https://x:y@h and ftp://z@i, http://j", "a https://h and ftp://i, http://j"),
            ("ssh://git@h/a", "ssh://git@h/a"),
            ("ssh://git:pw@h/a", "ssh://git@h/a"),
            ("https://h/@scope/name", "https://h/@scope/name"),
            ("https://h:8080/@scope/name", "https://h:8080/@scope/name"),
            ("curl \"https://u:p@h/\" 'http://v:q@i'", "curl \"https://h/\" 'http://i'"),
            ("user@host:path, no address", "user@host:path, no address"),
            ("://", "://"),
        ] {
            assert_eq!(text(given), left, "{given}");
        }
    }

    #[test]
    fn every_part_of_a_document_is_looked_through() {
        let given = json!({"http://a:b@h": [{"x": "http://a:b@h"}, 1, null]});
        assert_eq!(document(given), json!({"http://h": [{"x": "http://h"}, 1, null]}));
    }

    proptest! {
        #[test]
        fn no_password_of_an_address_is_left(password in "[A-Za-z0-9:@#?&=%+.,;!*()-]{1,20}", after in "[ \n/\"].{0,9}") {
            let given = format!("see https://user:CANARY{password}@host{after}");
            prop_assert!(!text(&given).contains("CANARY"), "{}", text(&given));
        }
    }
}

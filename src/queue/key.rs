//! Keys that tie builds together, which those choose who submit them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A text that two submissions have in common: 1 to 255 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key (expected 1 to 255 bytes without control characters)")]
pub struct KeyError(pub String);

impl Key {
    /// The longest key, in bytes.
    pub const LONGEST: usize = 255;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_key = (1..=Self::LONGEST).contains(&text.len()) && !text.contains(char::is_control);
        is_key.then(|| Self(text.into())).ok_or_else(|| KeyError(text.to_owned()))
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.as_str().to_owned()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_line() {
        for good in ["refs/heads/ä b", &"a".repeat(255)] {
            assert_eq!(good.parse::<Key>().expect(good).as_str(), good);
        }
        for bad in ["", "a\nb", "\0", &"a".repeat(256)] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
    }
}

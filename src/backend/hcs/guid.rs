//! Ids of layers, and of what there is in the network of containers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::oci::digest_of;

/// A GUID, in the order of bytes of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

/// Not a GUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id")]
pub struct GuidError(String);

impl Guid {
    /// The same one for the same text, and another one for every other (version 8 of RFC 9562).
    pub(super) fn of(text: &str) -> Self {
        let digest = digest_of(text.as_bytes());
        let byte = |at: usize| u8::from_str_radix(&digest.hex()[2 * at..2 * at + 2], 16).unwrap_or_default();
        let mut bytes: [u8; 16] = std::array::from_fn(byte);
        bytes[6] = bytes[6] & 0x0F | 0x80;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        Self(bytes)
    }
}

/// `01234567-89ab-cdef-0123-456789abcdef`.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// In either case, and with or without braces around it.
impl FromStr for Guid {
    type Err = GuidError;

    fn from_str(text: &str) -> Result<Self, GuidError> {
        let error = || GuidError(text.to_owned());
        let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let groups: Vec<&str> = bare.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        let digits = groups.concat();
        if lengths != [8, 4, 4, 4, 12] || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(error());
        }
        let number = u128::from_str_radix(&digits, 16).map_err(|_| error())?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_windows_writes_it_in_each_of_its_ways() {
        let id = Guid(std::array::from_fn(|at| u8::try_from(at * 17).expect("a byte")));
        assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        for text in ["00112233-4455-6677-8899-AABBCCDDEEFF", "{00112233-4455-6677-8899-aabbccddeeff}"] {
            assert_eq!(text.parse(), Ok(id));
        }
        for text in ["", "{}", "00112233-4455-6677-8899-aabbccddeef", "+0112233-4455-6677-8899-aabbccddeeff"]
        {
            assert_eq!(text.parse::<Guid>(), Err(GuidError(text.to_owned())));
        }
        let json = serde_json::to_string(&id).expect("json");
        assert_eq!(serde_json::from_str::<Guid>(&json).expect("an id"), id);
    }

    #[test]
    fn ids_of_texts_differ_and_stay() {
        assert_eq!(Guid::of("a"), Guid::of("a"));
        assert_ne!(Guid::of("a"), Guid::of("b"));
        assert_eq!(&Guid::of("a").to_string()[14..15], "8");
    }
}

//! The version of everything that crosses machines.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The version of requests, events and receipts. Written as a number; another number is refused when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProtocolVersion;

impl ProtocolVersion {
    /// The version that this crate writes and reads.
    pub const CURRENT: u16 = 1;
}

impl Serialize for ProtocolVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(Self::CURRENT)
    }
}

impl<'de> Deserialize<'de> for ProtocolVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            Self::CURRENT => Ok(Self),
            other => Err(D::Error::custom(format_args!(
                "message version {other} is not known here (this program reads version {})",
                Self::CURRENT
            ))),
        }
    }
}

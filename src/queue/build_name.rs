//! The names of builds, from texts that are known to be some.

use polyarch_actors::BuildId;
use serde::{
    Deserialize,
    de::{
        IntoDeserializer,
        value::{Error, StrDeserializer},
    },
};

/// How long a name is that [`BuildId::generate`] makes.
const LENGTH: usize = 26;

/// The name of a build that is written down.
pub(super) fn build_id(text: &str) -> BuildId {
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    BuildId::deserialize(text).unwrap_or_else(|_| unreachable!("every text is a name"))
}

/// Whether a text is a name as [`BuildId::generate`] makes it, which is safe to be the name of a file.
pub(super) fn is_generated(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

//! Names that cross modules and machines: builds, backends and content digests.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Names one build: every platform of one spec shares it.
///
/// Sorts by start time; 26 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BuildId(Arc<str>);

impl BuildId {
    /// A name that no other build has, on this machine or another.
    pub fn generate() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        // The counter orders builds of one process within a millisecond; the random hasher keys tell
        // processes and machines apart.
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed) & 0xFFFF;
        let random = RandomState::new().hash_one((millis, counter, std::process::id()));
        Self(format!("{:011x}{counter:04x}{:011x}", millis & 0xFFF_FFFF_FFFF, random >> 20).into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Names a backend: what `--backend` takes and a receipt records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackendId(Arc<str>);

impl BackendId {
    /// Names a backend.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The digest of some content: `sha256:` and 64 lower-case hexadecimal digits.
///
/// Source: OCI image specification, `descriptor.md`, "Digests". Only the algorithm that every registry
/// must support is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Arc<str>);

impl Digest {
    const PREFIX: &str = "sha256:";

    /// The digest whose SHA-256 sum is `sum`.
    pub fn from_sha256(sum: &[u8; 32]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(Self::PREFIX.len() + 64);
        text.push_str(Self::PREFIX);
        for byte in sum {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text.into())
    }

    /// The digest with its algorithm: `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hexadecimal digits alone, the name of the blob in an OCI layout.
    pub fn hex(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest {0:?} (expected sha256: and 64 lower-case hexadecimal digits)")]
pub struct DigestError(pub String);

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix(Self::PREFIX).filter(|hex| {
            hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        hex.map(|_| Self(text.into())).ok_or_else(|| DigestError(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.as_str().to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids_differ_and_sort_by_time() {
        let ids: Vec<BuildId> = (0..1000).map(|_| BuildId::generate()).collect();
        let mut unique = ids.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique, ids);
        assert!(ids.iter().all(|id| id.as_str().len() == 26));
    }

    #[test]
    fn a_digest_is_read_only_in_its_canonical_form() {
        let digest = Digest::from_sha256(&[0xab; 32]);
        assert_eq!(digest.as_str().parse(), Ok(digest.clone()));
        assert_eq!(digest.hex().len(), 64);
        assert_eq!(digest.short(), "abababababab");
        for bad in [digest.hex(), "sha256:", "sha256:zz", &digest.as_str().to_uppercase(), "../../etc/passwd"]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}

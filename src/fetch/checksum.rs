//! What a file must be: `algorithm:digest`.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A digest by which a downloaded file is checked.
///
/// Source: BuildKit hands `ADD --checksum` to `opencontainers/go-digest`, which knows these three algorithms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    hexadecimal: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// Why a text is no checksum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid checksum {text:?}: {reason}")]
pub struct ChecksumError {
    text: String,
    reason: &'static str,
}

impl FromStr for Checksum {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| ChecksumError { text: text.to_owned(), reason };
        let expected = "expected sha256:, sha384: or sha512: and the digest in hexadecimal";
        let (name, digest) = text.split_once(':').ok_or_else(|| wrong(expected))?;
        let (algorithm, length) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(wrong(expected)),
        };
        if digest.len() != length {
            return Err(wrong("the digest has not the length of that algorithm"));
        }
        if !digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong("the digest is not written with 0 to 9 and a to f"));
        }
        Ok(Self { algorithm, hexadecimal: digest.to_owned() })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hexadecimal)
    }
}

impl Checksum {
    /// The digest as SHA-256, if it is one.
    pub(super) fn sha256(&self) -> Option<&str> {
        (self.algorithm == Algorithm::Sha256).then_some(&self.hexadecimal)
    }

    /// Begins to compute a digest of this kind.
    pub(super) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha384 => Hasher::Sha384(Sha384::new()),
            Algorithm::Sha512 => Hasher::Sha512(Box::new(Sha512::new())),
        }
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// A digest that is being computed.
#[derive(Debug)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Box<Sha512>),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Checksum {
        let (algorithm, bytes) = match self {
            Self::Sha256(hash) => (Algorithm::Sha256, hash.finalize().to_vec()),
            Self::Sha384(hash) => (Algorithm::Sha384, hash.finalize().to_vec()),
            Self::Sha512(hash) => (Algorithm::Sha512, hash.finalize().to_vec()),
        };
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        let hexadecimal = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        Checksum { algorithm, hexadecimal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_algorithms_are_computed_and_read_back() {
        for (checksum, begin) in [
            (Hasher::Sha256(Sha256::new()), "sha256:ba7816bf8f01cfea"),
            (Hasher::Sha384(Sha384::new()), "sha384:cb00753f45a35e8b"),
            (Hasher::Sha512(Box::new(Sha512::new())), "sha512:ddaf35a193617aba"),
        ] {
            let mut hasher = checksum;
            hasher.update(b"abc");
            let checksum = hasher.finish();
            assert!(checksum.to_string().starts_with(begin), "{checksum}");
            assert_eq!(checksum.to_string().parse::<Checksum>().as_ref(), Ok(&checksum));
            assert!(checksum.hasher().finish() != checksum);
        }
    }

    #[test]
    fn what_is_no_checksum_says_why() {
        for (text, word) in [
            ("abc", "expected sha256:"),
            ("md5:00", "expected sha256:"),
            ("sha256:00", "length"),
            (&format!("sha256:{}", "G".repeat(64)), "0 to 9"),
        ] {
            let error = text.parse::<Checksum>().expect_err(text).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}

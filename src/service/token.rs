//! Bearer tokens, of which only the hash is kept.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use polyarch_actors::{Digest, DigestError};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// What tokens begin with, so that whoever scans for secrets knows one.
const PREFIX: &str = "polyarch_";

/// A token: 256 random bits in base64, which whoever has may ask for builds.
pub struct Token(String);

/// Why no token can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct TokenError;

impl Token {
    /// A new one.
    pub fn generate() -> Result<Self, TokenError> {
        let mut bits = [0; 32];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut bits).map_err(|_| TokenError)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits))))
    }

    /// The token itself, to be shown once.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a file of tenants has of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The SHA-256 sum of a token, written as a digest. It needs no salt, as no two tokens are alike and nobody guesses one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of what somebody presents.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether both are the same, in a time that does not tell where they differ.
    pub(super) fn is(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest::from_sha256(&self.0), f)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({self})")
    }
}

impl FromStr for TokenHash {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest: Digest = text.parse()?;
        let mut sum = [0; 32];
        for (byte, digits) in sum.iter_mut().zip(digest.hex().as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).map_err(|_| DigestError(text.to_owned()))?;
        }
        Ok(Self(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_only_their_hash_reads_back() {
        let (one, other) = (Token::generate().expect("a token"), Token::generate().expect("a token"));
        assert_ne!(one.as_str(), other.as_str());
        assert_eq!(one.as_str().len(), PREFIX.len() + 43, "256 bits in base64");
        let hash = one.hash();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!(bool::from(hash.is(&TokenHash::of(one.as_str()))));
        assert!(!bool::from(hash.is(&other.hash())));
        assert_eq!(format!("{one:?}"), "Token(…)");
        assert!(one.as_str().parse::<TokenHash>().is_err(), "a token is no hash");
    }
}

//! Versions of Windows.

use std::{fmt, str::FromStr};

/// `10.0.20348.2402`: the version of a Windows, or of an image (`os.version`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsVersion {
    /// Always 10 so far.
    pub major: u32,
    /// Always 0 so far.
    pub minor: u32,
    /// What tells the releases apart: 17763 is Windows Server 2019.
    pub build: u32,
    /// Which updates are in it.
    pub revision: u32,
}

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version of Windows, which has the form 10.0.20348.2402")]
pub struct OsVersionError(String);

impl FromStr for OsVersion {
    type Err = OsVersionError;

    /// Numbers at the end may be missing; they are 0 then.
    fn from_str(text: &str) -> Result<Self, OsVersionError> {
        let wrong = || OsVersionError(text.to_owned());
        let mut numbers = [0; 4];
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() > numbers.len() {
            return Err(wrong());
        }
        for (number, part) in numbers.iter_mut().zip(parts) {
            *number = part.parse().map_err(|_| wrong())?;
        }
        let [major, minor, build, revision] = numbers;
        Ok(Self { major, minor, build, revision })
    }
}

impl fmt::Display for OsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, build, revision } = self;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

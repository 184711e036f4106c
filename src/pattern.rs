//! Patterns of platforms: which of a build's platforms an option is about.

use std::{fmt, str::FromStr};

use polyarch_actors::{Platform, PlatformError};

/// One platform, or all that have some parts: `linux/arm64`, `windows/*`, `linux/arm/*`, `*`.
///
/// A part `*` stands for anything, and for nothing at the end: `linux/*` is every platform of Linux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformPattern {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    One(Platform),
    /// What each part must be, where it must be something.
    Parts(Vec<Option<String>>),
}

impl PlatformPattern {
    /// Whether a platform is meant.
    pub fn matches(&self, platform: &Platform) -> bool {
        let parts = match &self.kind {
            Kind::One(one) => return one.is_satisfied_by(platform),
            Kind::Parts(parts) => parts,
        };
        let os = platform.os().to_string();
        let has = [os.as_str(), platform.arch(), platform.variant().unwrap_or_default()];
        parts.iter().zip(has).all(|(wanted, has)| wanted.as_ref().is_none_or(|wanted| wanted == has))
    }
}

impl FromStr for PlatformPattern {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let text = text.trim();
        let parts: Vec<&str> = text.split('/').collect();
        let kind = if !parts.contains(&"*") {
            Kind::One(text.parse()?)
        } else if parts.len() > 3
            || parts.iter().any(|part| part.is_empty() || (part.len() > 1 && part.contains('*')))
        {
            return Err(PlatformError::Malformed(text.to_owned()));
        } else {
            Kind::Parts(parts.iter().map(|part| (*part != "*").then(|| part.to_ascii_lowercase())).collect())
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

impl fmt::Display for PlatformPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_said_count_and_others_do_not() {
        for (pattern, meant, others) in [
            ("*", "linux/amd64 windows/amd64 linux/arm/v7", ""),
            ("linux/*", "linux/amd64 linux/arm/v7", "windows/amd64"),
            ("*/arm64", "linux/arm64 windows/arm64", "linux/amd64"),
            ("linux/arm/*", "linux/arm/v7 linux/arm/v6", "linux/arm64"),
            ("linux/arm64", "linux/arm64", "linux/amd64 windows/arm64"),
            ("linux/x86_64", "linux/amd64", "linux/386"),
        ] {
            let read: PlatformPattern = pattern.parse().expect("a pattern");
            let fits = |text: &str| read.matches(&text.parse().expect("a platform"));
            assert!(meant.split_whitespace().all(fits), "{pattern}");
            assert!(!others.split_whitespace().any(fits), "{pattern}");
            assert_eq!(read.to_string(), pattern);
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "linux/", "lin*/amd64", "*/*/*/*", "linux//*", "beos/9"] {
            assert!(text.parse::<PlatformPattern>().is_err(), "{text}");
        }
    }
}

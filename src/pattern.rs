//! Patterns of platforms: which of a build's platforms an option is about.

use std::{fmt, str::FromStr};

use polyarch_actors::{ImageOs, Platform, PlatformError};
use serde::{Deserialize, Serialize};

/// One platform, or all that have some parts: `linux/arm64`, `windows/*`, `linux/arm*`, `*/arm64`, `*`.
///
/// A part that ends with `*` stands for every part that begins so, and for nothing at the end: `linux/*` is every
/// platform of Linux.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlatformPattern {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    One(Platform),
    /// What the operating system, the CPU and its variant must be.
    Parts([Part; 3]),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Exactly(String),
    Beginning(String),
}

impl Part {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == text,
            Self::Beginning(start) => text.starts_with(start),
        }
    }

    /// Whether all that this part stands for is what another one stands for too.
    fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exactly(text), _) => other.matches(text),
            (Self::Beginning(start), Self::Beginning(shorter)) => start.starts_with(shorter),
            (Self::Beginning(_), Self::Exactly(_)) => false,
        }
    }
}

impl PlatformPattern {
    /// Whether a platform is meant.
    pub fn matches(&self, platform: &Platform) -> bool {
        match &self.kind {
            Kind::One(one) => one.is_satisfied_by(platform),
            Kind::Parts(parts) => {
                let os = platform.os().to_string();
                let has = [os.as_str(), platform.arch(), platform.variant().unwrap_or_default()];
                parts.iter().zip(has).all(|(part, has)| part.matches(has))
            }
        }
    }

    /// Whether this pattern says more: it means fewer platforms, all of which the other one means too.
    pub fn is_narrower_than(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::One(mine), Kind::One(others)) => mine != others && others.is_satisfied_by(mine),
            (Kind::One(mine), Kind::Parts(_)) => other.matches(mine),
            (Kind::Parts(_), Kind::One(_)) => false,
            (Kind::Parts(mine), Kind::Parts(others)) => {
                mine != others && mine.iter().zip(others).all(|(mine, other)| mine.is_within(other))
            }
        }
    }
}

impl FromStr for PlatformPattern {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let text = text.trim();
        let kind = if text.contains('*') {
            let anything = || Part::Beginning(String::new());
            let mut parts = [anything(), anything(), anything()];
            let written: Vec<&str> = text.split('/').collect();
            let has_star_inside = |part: &str| part.strip_suffix('*').unwrap_or(part).contains('*');
            if written.len() > parts.len()
                || written.iter().any(|part| part.is_empty() || has_star_inside(part))
            {
                return Err(PlatformError::Malformed(text.to_owned()));
            }
            for (at, (part, written)) in parts.iter_mut().zip(written).enumerate() {
                let written = written.to_ascii_lowercase();
                *part = match (written.strip_suffix('*'), at) {
                    (Some(start), _) => Part::Beginning(start.to_owned()),
                    (None, 0) => Part::Exactly(written.parse::<ImageOs>()?.to_string()),
                    // A CPU has other names too.
                    (None, 1) => {
                        Part::Exactly(Platform::new(ImageOs::Linux, &written, None)?.arch().to_owned())
                    }
                    (None, _) => Part::Exactly(written),
                };
            }
            Kind::Parts(parts)
        } else {
            Kind::One(text.parse()?)
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

impl TryFrom<String> for PlatformPattern {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, PlatformError> {
        text.parse()
    }
}

impl From<PlatformPattern> for String {
    fn from(pattern: PlatformPattern) -> Self {
        pattern.text
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
            ("linux/arm*", "linux/arm/v7 linux/arm64", "linux/amd64 windows/arm64"),
            ("linux/arm/v*", "linux/arm/v7 linux/arm/v6", "linux/arm64"),
            ("linux/arm64", "linux/arm64", "linux/amd64 windows/arm64"),
            ("linux/x86_64", "linux/amd64", "linux/386"),
            ("*/X86_64", "linux/amd64 windows/amd64", "linux/386"),
            ("linux/armhf/*", "linux/arm/v7 linux/arm/v6", "linux/arm64"),
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
        for text in [
            "",
            "linux/",
            "l*x/amd64",
            "**",
            "*/*/*/*",
            "linux//*",
            "beos/9",
            "beos/*",
            "./windows/*",
            "*/vax",
        ] {
            assert!(text.parse::<PlatformPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_narrower_only_where_the_other_means_all_that_it_means() {
        // From the widest on; each is narrower than all before it.
        for chain in [
            &["*", "linux/*", "linux/arm*", "linux/arm/*", "linux/arm/v*", "linux/arm/v7"][..],
            &["*", "*/arm64", "windows/arm64", "windows(10.0.20348.1)/arm64"],
            &["w*", "windows/*", "windows/amd64"],
        ] {
            let read: Vec<PlatformPattern> = chain
                .iter()
                .map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")))
                .collect();
            for (at, one) in read.iter().enumerate() {
                for (other_at, other) in read.iter().enumerate() {
                    assert_eq!(one.is_narrower_than(other), at > other_at, "{one} {other}");
                }
            }
        }
        for (one, other) in [
            ("linux/*", "*/arm64"),
            ("linux/arm64", "linux/arm/v7"),
            ("*", "*/*"),
            ("linux/amd64", "linux/x86_64"),
        ] {
            let read = |text: &str| text.parse::<PlatformPattern>().expect("a pattern");
            let (one, other) = (read(one), read(other));
            assert!(!one.is_narrower_than(&other) && !other.is_narrower_than(&one), "{one} {other}");
        }
    }
}

//! Versions of buildah, and what each can do.

use std::fmt;

/// A version of buildah.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildahVersion {
    /// Always 1 so far.
    pub major: u32,
    /// The number that says what it can do.
    pub minor: u32,
    /// Counts corrections.
    pub patch: u32,
}

/// The oldest buildah that will do: `--build-context` pins base images.
pub(super) const OLDEST: BuildahVersion = since(27);

/// Flags of `buildah build` and `buildah pull` that not every accepted version has, with the version from which
/// they are used.
const GATED: [(&str, BuildahVersion); 3] = [
    ("--identity-label=false", since(28)),
    ("--skip-unused-stages=true", since(28)),
    ("--retry=0", since(28)),
];

const fn since(minor: u32) -> BuildahVersion {
    BuildahVersion { major: 1, minor, patch: 0 }
}

/// The first version that knows heredocs.
pub(super) const HEREDOCS: BuildahVersion = since(33);

/// Whether this version understands `RUN <<EOF`.
pub fn supports_heredocs(version: BuildahVersion) -> bool {
    version >= HEREDOCS
}

impl BuildahVersion {
    /// Reads what `buildah --version` prints: `buildah version 1.28.2 (image-spec 1.1.0-rc2, runtime-spec …)`.
    pub fn parse(text: &str) -> Option<Self> {
        let word =
            text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
        let mut numbers = word.split(['.', '-', '+']);
        let mut number = || numbers.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()?, patch: number().unwrap_or(0) })
    }

    /// The flag, if this version has it.
    ///
    /// # Panics
    /// When the flag is not in the table, which is a mistake of the caller.
    pub(super) fn gated(self, flag: &str) -> Option<&'static str> {
        let (flag, since) = GATED.iter().find(|(known, _)| *known == flag).expect("a flag of the table");
        (self >= *since).then_some(*flag)
    }
}

impl fmt::Display for BuildahVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        for (text, version) in [
            ("buildah version 1.28.2 (image-spec 1.1.0-rc2, runtime-spec 1.0.2-dev)", Some("1.28.2")),
            ("buildah version 1.44.0-dev (image-spec 1.1.1)", Some("1.44.0")),
            ("buildah version 1.33.7+ds1", Some("1.33.7")),
            ("buildah version 1.39", Some("1.39.0")),
            ("buildah version (image-spec)", None),
            ("", None),
        ] {
            assert_eq!(BuildahVersion::parse(text).map(|version| version.to_string()).as_deref(), version);
        }
    }

    #[test]
    fn flags_are_used_only_where_they_exist() {
        let old = BuildahVersion { major: 1, minor: 27, patch: 3 };
        let new = BuildahVersion { major: 1, minor: 28, patch: 2 };
        for (flag, _) in GATED {
            assert_eq!(old.gated(flag), None);
            assert_eq!(new.gated(flag), Some(flag));
        }
        assert!(!supports_heredocs(new));
        assert!(supports_heredocs(since(33)));
        assert!(old >= OLDEST);
    }
}

//! Image names as people write them: `ubuntu`, `ghcr.io/team/app:1.2`, `localhost:5000/app@sha256:…`.
//!
//! Parsing is separate from any lookup: a [`Reference`] is always complete except that it may have no tag.
//!
//! Source: <https://github.com/distribution/reference> (`regexp.go`, `normalize.go`).

use std::{fmt, str::FromStr};

use polyarch_actors::Digest;
use serde::{Deserialize, Serialize};

/// The registry of a name that names none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// An older name of [`DEFAULT_REGISTRY`].
const LEGACY_REGISTRY: &str = "index.docker.io";
/// Where the default registry keeps names of one word.
const OFFICIAL: &str = "library/";
/// The tag of a name that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// The most characters of a repository and of a tag.
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;

/// A registry, a repository in it, and what of it: a tag, a digest, both or neither.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid image name {name:?}: {reason}")]
pub struct ReferenceError {
    /// The text.
    pub name: String,
    /// What is wrong with it, and what to write instead where that is known.
    pub reason: String,
}

impl Reference {
    /// The registry's host, with its port where one was given.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry: `library/ubuntu`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The tag, or `latest` where there is none.
    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository with this tag and no digest.
    ///
    /// # Errors
    /// When `tag` is not a tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        check_tag(tag).map_err(|reason| ReferenceError { name: format!("{}:{tag}", self.name()), reason })?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The shortest form that means the same: `ubuntu:22.04` for `docker.io/library/ubuntu:22.04`.
    pub fn familiar(&self) -> String {
        let short = match self.repository.strip_prefix(OFFICIAL) {
            Some(rest) if !rest.contains('/') => rest,
            _ => &self.repository,
        };
        let text = format!("{short}{}", self.suffix());
        if self.registry == DEFAULT_REGISTRY && text.parse().as_ref() == Ok(self) {
            text
        } else {
            self.to_string()
        }
    }

    fn suffix(&self) -> String {
        let mut suffix = String::new();
        if let Some(tag) = &self.tag {
            suffix.push(':');
            suffix.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            suffix.push('@');
            suffix.push_str(digest.as_str());
        }
        suffix
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.name(), self.suffix()))
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| ReferenceError { name: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text != text.trim() || text.contains(char::is_whitespace) {
        return Err("it contains white space".into());
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("a name has no scheme (try {rest:?})"));
    }
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("64 hexadecimal digits are an image id, not a name".into());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    let (registry, rest) = split_registry(rest);
    let (repository, tag) = match rest.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (rest, None),
    };
    check_registry(registry)?;
    check_repository(text, repository)?;
    let repository = if registry == DEFAULT_REGISTRY && !repository.contains('/') {
        format!("{OFFICIAL}{repository}")
    } else {
        repository.to_owned()
    };
    if repository.len() > LONGEST_REPOSITORY {
        return Err(format!("its repository has more than {LONGEST_REPOSITORY} characters"));
    }
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    Ok(Reference { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
}

/// The first part is a registry when it cannot be part of a repository's name.
fn split_registry(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_REGISTRY, rest)) => (DEFAULT_REGISTRY, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, text),
    }
}

fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("{address:?} is no IPv6 address"));
            }
            if !after.is_empty() && !after.starts_with(':') {
                return Err(format!("its registry {registry:?} is no host name"));
            }
            (None, after.strip_prefix(':'))
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(registry), None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.is_some_and(|host| !host.split('.').all(label)) {
        return Err(format!("its registry {registry:?} is no host name"));
    }
    if port
        .is_some_and(|port| port.parse::<u16>().is_err() || !port.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(format!("its registry {registry:?} has no valid port"));
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, several of them separated by slashes.
fn check_repository(text: &str, repository: &str) -> Result<(), String> {
    if repository.is_empty() {
        return Err("it names no repository".into());
    }
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let lower = text.replacen(repository, &repository.to_ascii_lowercase(), 1);
        return Err(format!("repository names are lower-case (try {lower:?})"));
    }
    for part in repository.split('/') {
        if part.is_empty() {
            return Err("it has an empty part between slashes".into());
        }
        if let Some(odd) = part.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')) {
            return Err(format!("a repository name cannot contain {odd:?}"));
        }
        let separators = part.split(|c: char| c.is_ascii_alphanumeric()).filter(|run| !run.is_empty());
        let outside = part.starts_with(['.', '_', '-']) || part.ends_with(['.', '_', '-']);
        if outside || separators.into_iter().any(|run| !is_separator(run)) {
            return Err(format!(
                "{part:?} is no part of a repository name (letters and digits, with single '.', '_', '__' or any \
                 '-' between them)"
            ));
        }
    }
    Ok(())
}

fn is_separator(run: &str) -> bool {
    matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-')
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
fn check_tag(tag: &str) -> Result<(), String> {
    if tag.is_empty() {
        return Err("its tag is empty".into());
    }
    if tag.len() > LONGEST_TAG {
        return Err(format!("its tag has more than {LONGEST_TAG} characters"));
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if tag.starts_with(['.', '-']) {
        return Err(format!("a tag cannot begin with '.' or '-' (the tag is {tag:?})"));
    }
    match tag.chars().find(|c| !word(*c) && !matches!(c, '.' | '-')) {
        Some(odd) => Err(format!("a tag cannot contain {odd:?} (the tag is {tag:?})")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUM: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

    fn reference(text: &str) -> Reference {
        text.parse().expect("a reference")
    }

    #[test]
    fn short_names_get_docker_hubs_defaults() {
        for (text, full, familiar) in [
            ("ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04"),
            ("docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu", "ubuntu"),
            ("team/app", "docker.io/team/app", "team/app"),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
            ("test.com:5000", "docker.io/library/test.com:5000", "test.com:5000"),
            ("ghcr.io/team/app", "ghcr.io/team/app", "ghcr.io/team/app"),
            ("Host/app", "Host/app", "Host/app"),
            ("[::1]:5000/app:x", "[::1]:5000/app:x", "[::1]:5000/app:x"),
            ("[2001:db8::1]/app", "[2001:db8::1]/app", "[2001:db8::1]/app"),
            ("a__b/c---d:Tag_1.x", "docker.io/a__b/c---d:Tag_1.x", "a__b/c---d:Tag_1.x"),
            ("docker.io/a.b/c", "docker.io/a.b/c", "docker.io/a.b/c"),
        ] {
            let reference = reference(text);
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
        }
    }

    #[test]
    fn tag_and_digest_are_read_apart_and_replaced() {
        let both = reference(&format!("ghcr.io/a/b:1@{SUM}"));
        assert_eq!((both.tag(), both.digest().map(Digest::as_str)), (Some("1"), Some(SUM)));
        assert_eq!(both.with_tag("2").expect("a tag").to_string(), "ghcr.io/a/b:2");
        let digest: Digest = SUM.parse().expect("a digest");
        assert_eq!(both.with_digest(digest).to_string(), format!("ghcr.io/a/b@{SUM}"));
        assert_eq!(reference("a/b").tag_or_latest(), "latest");
        assert_eq!(both.tag_or_latest(), "1");
        let error = both.with_tag("-x").expect_err("no tag").to_string();
        assert_eq!(
            error,
            "invalid image name \"ghcr.io/a/b:-x\": a tag cannot begin with '.' or '-' (the tag is \"-x\")"
        );
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long = "a/".repeat(128) + "a:tag";
        for (text, reason) in [
            ("Foo", "repository names are lower-case (try \"foo\")"),
            ("ghcr.io/Team/App:V1", "repository names are lower-case (try \"ghcr.io/team/app:V1\")"),
            ("", "it is empty"),
            (" a", "it contains white space"),
            ("a b", "it contains white space"),
            ("https://ghcr.io/a", "a name has no scheme (try \"ghcr.io/a\")"),
            ("docker://a", "a name has no scheme (try \"a\")"),
            (":tag", "it names no repository"),
            ("ghcr.io/", "it names no repository"),
            ("a//b", "it has an empty part between slashes"),
            ("a/", "it has an empty part between slashes"),
            ("a:", "its tag is empty"),
            ("a:.x", "a tag cannot begin with '.' or '-' (the tag is \".x\")"),
            ("a:b:c", "a tag cannot contain ':' (the tag is \"b:c\")"),
            (
                "a@sha256:ff",
                "invalid digest \"sha256:ff\" (expected sha256: and 64 lower-case hexadecimal digits)",
            ),
            ("aa/asdf$$^/aa", "a repository name cannot contain '$'"),
            (
                "a..b",
                "\"a..b\" is no part of a repository name (letters and digits, with single '.', '_', '__' or any '-' between them)",
            ),
            (
                "-a/b",
                "\"-a\" is no part of a repository name (letters and digits, with single '.', '_', '__' or any '-' between them)",
            ),
            (
                "a___b",
                "\"a___b\" is no part of a repository name (letters and digits, with single '.', '_', '__' or any '-' between them)",
            ),
            ("foo_bar.com:8080/a", "its registry \"foo_bar.com:8080\" is no host name"),
            ("host:99999/a", "its registry \"host:99999\" has no valid port"),
            ("host:/a", "its registry \"host:\" has no valid port"),
            ("[fe80::1%eth0]:5000/repo", "\"fe80::1%eth0\" is no IPv6 address"),
            (&SUM[7..], "64 hexadecimal digits are an image id, not a name"),
            (&long, "its repository has more than 255 characters"),
        ] {
            let error = text.parse::<Reference>().expect_err(text);
            assert_eq!(error.reason, reason, "{text}");
        }
    }

    #[test]
    fn lengths_are_limited_as_registries_limit_them() {
        assert!(format!("ghcr.io/{}", "a".repeat(255)).parse::<Reference>().is_ok());
        assert!(format!("ghcr.io/{}", "a".repeat(256)).parse::<Reference>().is_err());
        assert!(format!("a:{}", "x".repeat(128)).parse::<Reference>().is_ok());
        assert!(format!("a:{}", "x".repeat(129)).parse::<Reference>().is_err());
    }

    #[test]
    fn the_json_form_is_the_text() {
        let json = serde_json::to_string(&reference("a/b:1")).expect("json");
        assert_eq!(json, "\"docker.io/a/b:1\"");
        assert_eq!(serde_json::from_str::<Reference>(&json).expect("read"), reference("a/b:1"));
        assert!(serde_json::from_str::<Reference>("\"A\"").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Reference>();
        }

        #[test]
        fn what_is_read_is_written_so_that_it_reads_back(text in "([a-zA-Z0-9.:_\\[\\]-]{1,9}/){0,3}[a-z0-9._-]{1,8}(:[a-zA-Z0-9._-]{1,8})?(@sha256:f{64})?") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().expect("full"), &reference);
                prop_assert_eq!(&reference.familiar().parse::<Reference>().expect("familiar"), &reference);
            }
        }
    }
}

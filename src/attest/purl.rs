//! Package URLs.
//!
//! Source: package-url/purl-spec, `PURL-SPECIFICATION.rst`; BuildKit, `util/purl/image.go`.

use std::fmt::Write as _;

use polyarch_actors::{Digest, Platform};

use crate::oci::Reference;

/// A package of some ecosystem.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Purl<'p> {
    /// The ecosystem, such as `deb`.
    pub(super) kind: &'p str,
    /// What the name is in, with slashes between its parts; empty for nothing.
    pub(super) namespace: &'p str,
    pub(super) name: &'p str,
    /// Empty if there is none.
    pub(super) version: &'p str,
    /// In the order of their keys; those without a value are left out.
    pub(super) qualifiers: &'p [(&'p str, &'p str)],
}

impl std::fmt::Display for Purl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        for part in self.namespace.split('/').filter(|part| !part.is_empty()) {
            write!(f, "{}/", Encoded(part))?;
        }
        write!(f, "{}", Encoded(self.name))?;
        if !self.version.is_empty() {
            write!(f, "@{}", Encoded(self.version))?;
        }
        let stated = self.qualifiers.iter().filter(|(_, value)| !value.is_empty());
        for (number, (key, value)) in stated.enumerate() {
            f.write_char(if number == 0 { '?' } else { '&' })?;
            write!(f, "{key}={}", Encoded(value))?;
        }
        Ok(())
    }
}

/// What a name of an image means for a platform.
pub(super) fn of_image(name: &Reference, platform: &Platform) -> String {
    let short = name.familiar();
    let digest = name.digest().map(Digest::to_string).unwrap_or_default();
    let version = match (name.tag(), name.digest()) {
        (Some(tag), _) => tag,
        (None, Some(_)) => "",
        (None, None) => "latest",
    };
    let short = short.split('@').next().unwrap_or_default();
    let short = name.tag().and_then(|tag| short.strip_suffix(tag)?.strip_suffix(':')).unwrap_or(short);
    let (namespace, name) = short.rsplit_once('/').unwrap_or(("", short));
    let platform = platform.to_string();
    let qualifiers = [("digest", digest.as_str()), ("platform", platform.as_str())];
    Purl { kind: "docker", namespace, name, version, qualifiers: &qualifiers }.to_string()
}

/// An image of no registry.
pub(super) fn of_local_image(name: &str, platform: &Platform) -> String {
    let platform = platform.to_string();
    Purl { kind: "oci", name, qualifiers: &[("platform", &platform)], ..Purl::default() }.to_string()
}

/// A part of a package URL; what else could be read as a separator is encoded.
struct Encoded<'e>(&'e str);

impl std::fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                    f.write_char(char::from(byte))?;
                }
                byte => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_buildkit_names_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (name, platform, purl) in [
            ("alpine:3.17", "linux/amd64", "pkg:docker/alpine@3.17?platform=linux%2Famd64"),
            ("alpine", "linux/arm/v7", "pkg:docker/alpine@latest?platform=linux%2Farm%2Fv7"),
            ("ghcr.io/a/b/c:1", "linux/amd64", "pkg:docker/ghcr.io/a/b/c@1?platform=linux%2Famd64"),
            ("localhost:5000/x", "linux/amd64", "pkg:docker/localhost:5000/x@latest?platform=linux%2Famd64"),
            (
                &format!("a/b@{digest}"),
                "linux/amd64",
                &format!("pkg:docker/a/b?digest={digest}&platform=linux%2Famd64"),
            ),
        ] {
            let name = name.parse().expect("a name");
            assert_eq!(of_image(&name, &platform.parse().expect("a platform")), purl);
        }
    }

    #[test]
    fn nothing_in_a_name_is_read_as_a_separator() {
        let purl = Purl {
            kind: "npm",
            namespace: "@angular",
            name: "a?b#c",
            version: "1.0+x@y/z",
            qualifiers: &[("arch", "a&b=c"), ("epoch", "")],
        };
        assert_eq!(purl.to_string(), "pkg:npm/%40angular/a%3Fb%23c@1.0%2Bx%40y%2Fz?arch=a%26b%3Dc");
    }
}

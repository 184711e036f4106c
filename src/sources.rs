//! How a person writes where a context is.
//!
//! Source: buildx, `build/opt.go` (`loadInputs`); BuildKit, `frontend/dockerui/namedcontext.go`.

use std::path::{Path, PathBuf};

use polyarch_actors::{Descriptor, Digest};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    fetch::{GitSource, GitUrlError},
    oci::{Reference, ReferenceError},
};

/// Where the files are that COPY and ADD see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextInput {
    /// In a directory.
    Directory(PathBuf),
    /// In a directory that somebody else names, and the Dockerfile is in it. A part of its path that is a symbolic link, at
    /// whatever time of the build, is an error; so a backend that may follow one does not build it.
    Enclosed(PathBuf),
    /// In a tar archive on this machine, compressed or not, which holds the Dockerfile too.
    Archive(PathBuf),
    /// In a tar archive, compressed or not, on standard input; or there is only the text of a Dockerfile there.
    Stdin,
    /// In a git repository.
    Git(GitSource),
    /// In a tar archive, compressed or not, on a web server; or there is only the text of a Dockerfile there.
    Url(String),
}

/// What `--build-context NAME=…` stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum NamedInput {
    /// A directory.
    Directory(PathBuf),
    /// An image in a registry.
    #[serde(deserialize_with = "image_name")]
    Image(String),
    /// An image in an OCI image layout.
    Layout {
        /// The layout.
        folder: PathBuf,
        /// The tag; `latest`, or the only image, if absent.
        tag: Option<String>,
        /// The digest, which counts more than the tag.
        digest: Option<Digest>,
    },
    /// An index or an image of the store that is built in.
    Stored(Descriptor),
    /// A git repository.
    Git(GitSource),
    /// A file of a web server, which is in the context as `context` and is not unpacked.
    Url(String),
}

/// Why a text says nothing about where a context is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceTextError {
    /// It is the address of a git repository, and malformed.
    #[error(transparent)]
    Git(#[from] GitUrlError),
    /// It names an image, and is malformed.
    #[error(transparent)]
    Image(#[from] ReferenceError),
    /// It has an unknown beginning.
    #[error(
        "{text:?} is not supported: a named context is a directory, docker-image://IMAGE, \
             oci-layout://DIR[:TAG][@DIGEST], the address of a git repository, or http(s)://"
    )]
    Unknown {
        /// The text.
        text: String,
    },
    /// It names a target of `docker buildx bake`.
    #[error("{text:?} is not supported: only a file of docker buildx bake has targets")]
    Target {
        /// The text.
        text: String,
    },
    /// The digest of a layout's image is malformed.
    #[error("{text:?} has no valid digest after the @ (sha256:…)")]
    Digest {
        /// The text.
        text: String,
    },
}

impl ContextInput {
    /// Reads `-`, a directory, or an address. A directory that is there counts before an address.
    pub fn read(text: &str) -> Result<Self, SourceTextError> {
        if text == "-" {
            return Ok(Self::Stdin);
        }
        if Path::new(text).exists() {
            return Ok(Self::Directory(text.into()));
        }
        if let Some(source) = GitSource::parse(text)? {
            return Ok(Self::Git(source));
        }
        Ok(if is_http(text) { Self::Url(text.to_owned()) } else { Self::Directory(text.into()) })
    }

    /// Whether it is of this machine, or came on standard input, so that nobody can tell later which files it had.
    pub(crate) fn is_here(&self) -> bool {
        match self {
            Self::Directory(_) | Self::Enclosed(_) | Self::Archive(_) | Self::Stdin => true,
            Self::Git(_) | Self::Url(_) => false,
        }
    }
}

impl NamedInput {
    /// Reads what stands behind `NAME=`.
    pub fn read(text: &str) -> Result<Self, SourceTextError> {
        if let Some(image) = text.strip_prefix("docker-image://") {
            let image: Reference = image.parse()?;
            return Ok(Self::Image(image.to_string()));
        }
        if let Some(layout) = text.strip_prefix("oci-layout://") {
            return Self::layout(layout).ok_or_else(|| SourceTextError::Digest { text: text.to_owned() });
        }
        if text.starts_with("target:") {
            return Err(SourceTextError::Target { text: text.to_owned() });
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let may_be_git = text.starts_with("git@") || scheme.is_some() || text.starts_with("github.com/");
        if may_be_git
            && !Path::new(text).exists()
            && let Some(source) = GitSource::parse(text)?
        {
            return Ok(Self::Git(source));
        }
        match scheme {
            None => Ok(Self::Directory(text.into())),
            Some(_) if is_http(text) => Ok(Self::Url(text.to_owned())),
            Some(_) => Err(SourceTextError::Unknown { text: text.to_owned() }),
        }
    }

    /// `DIR[:TAG][@DIGEST]`; `None` where the digest is malformed.
    fn layout(text: &str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().ok()?)),
            None => (text, None),
        };
        let (folder, tag) = folder_and_tag(rest);
        Some(Self::Layout { folder, tag, digest })
    }
}

/// The whole name of an image, as [`NamedInput::read`] makes it.
fn image_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let image = String::deserialize(deserializer)?;
    let image: Reference = image.parse().map_err(D::Error::custom)?;
    Ok(image.to_string())
}

/// `DIR[:TAG]`: a colon after the last separator begins the tag, and one behind the letter of a drive does not.
pub(crate) fn folder_and_tag(text: &str) -> (PathBuf, Option<String>) {
    match text.rsplit_once(':') {
        Some((folder, tag)) if !tag.contains(['/', '\\']) => (folder.into(), Some(tag.to_owned())),
        _ => (text.into(), None),
    }
}

/// Whether a text is an address of a web server.
pub(crate) fn is_http(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_read_as_buildx_writes_them() {
        let read = |text: &str| ContextInput::read(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read("-"), ContextInput::Stdin);
        assert_eq!(read("."), ContextInput::Directory(".".into()));
        assert_eq!(read("no/such/folder"), ContextInput::Directory("no/such/folder".into()));
        assert!(matches!(read("https://h/a.git#main:sub"), ContextInput::Git(_)));
        assert!(matches!(read("git@h:a.git"), ContextInput::Git(_)));
        assert_eq!(read("https://h/a.tar.gz"), ContextInput::Url("https://h/a.tar.gz".into()));
        assert!(ContextInput::read("https://h/a.git?depth=1").is_err());
    }

    #[test]
    fn named_contexts_are_read_as_buildx_writes_them() {
        let read = |text: &str| NamedInput::read(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read("docker-image://alpine"), NamedInput::Image("docker.io/library/alpine".into()));
        assert_eq!(read("../folder"), NamedInput::Directory("../folder".into()));
        assert_eq!(read("a:b"), NamedInput::Directory("a:b".into()));
        assert!(matches!(read("git@h:a.git"), NamedInput::Git(_)));
        assert!(matches!(read("https://h/a.git"), NamedInput::Git(_)));
        assert_eq!(read("https://h/a.txt"), NamedInput::Url("https://h/a.txt".into()));
        let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().expect("a digest");
        let layout = |tag: Option<&str>, digest| NamedInput::Layout {
            folder: "dir/x".into(),
            tag: tag.map(str::to_owned),
            digest,
        };
        for (text, folder, tag) in [
            ("oci-layout://C:/dir/x", "C:/dir/x", None),
            ("oci-layout://C:\\dir\\x:1", "C:\\dir\\x", Some("1".to_owned())),
            ("oci-layout://c:1", "c", Some("1".to_owned())),
        ] {
            assert_eq!(read(text), NamedInput::Layout { folder: folder.into(), tag, digest: None });
        }
        assert_eq!(read("oci-layout://dir/x"), layout(None, None));
        assert_eq!(read("oci-layout://dir/x:1"), layout(Some("1"), None));
        assert_eq!(read(&format!("oci-layout://dir/x:1@{digest}")), layout(Some("1"), Some(digest)));
        for (text, word) in [
            ("target:base", "bake"),
            ("oci-layout://x@sha256:00", "no valid digest"),
            ("s3://bucket", "is not supported"),
            ("docker-image://UPPER", "UPPER"),
        ] {
            let error = NamedInput::read(text).expect_err(text).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}

//! How a person writes where an index or image is, or where it goes.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use polyarch_actors::{Digest, DigestError};

use crate::{
    oci::{Reference, ReferenceError},
    sources::folder_and_tag,
};

/// Where an index or image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// It is what the build of a receipt made.
    Receipt(PathBuf),
    /// It has this digest, in the store or else in the repository that the result goes to.
    Digest(Digest),
    /// In the store under this name, or else in its registry.
    Anywhere(Reference),
    /// In the store under this name.
    Stored(Reference),
    /// In its registry, whatever the store has under that name.
    Registry(Reference),
    /// In an OCI image layout.
    Layout {
        /// The layout.
        folder: PathBuf,
        /// The tag; `latest`, or the only image, if absent.
        tag: Option<String>,
        /// The digest, which counts more than the tag.
        digest: Option<Digest>,
    },
}

/// Where an index or image goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To its registry.
    Registry(Reference),
    /// Into the store, under this name.
    Stored(Reference),
    /// Into an OCI image layout, which is made where there is none.
    Layout {
        /// The layout.
        folder: PathBuf,
        /// The tag.
        tag: String,
    },
}

/// Why a text says nothing about where an index is or goes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It names an image, and is malformed.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// It is a digest, and malformed.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// It has an unknown beginning.
    #[error(
        "{scheme}:// is not supported (a name, docker-image://NAME, store://NAME or oci-layout://DIR[:TAG])"
    )]
    Scheme {
        /// The beginning.
        scheme: String,
    },
    /// Something that has a digest cannot be given another meaning.
    #[error("{text} says by its digest what it is, so nothing can be put there")]
    Fixed {
        /// The text.
        text: String,
    },
}

impl Location {
    /// Reads `NAME`, `sha256:…`, `store://…`, `docker-image://…`, `oci-layout://DIR[:TAG][@DIGEST]`, the folder of a
    /// layout, or the file of a receipt. A file that is there, and whatever ends in `.json`, is a receipt.
    pub fn read(text: &str) -> Result<Self, LocationError> {
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "docker" | "docker-image" => Ok(Self::Registry(rest.parse()?)),
                "store" if rest.starts_with("sha256:") => Ok(Self::Digest(rest.parse()?)),
                "store" => Ok(Self::Stored(rest.parse()?)),
                "oci-layout" => Self::layout(rest),
                scheme => Err(LocationError::Scheme { scheme: scheme.to_owned() }),
            };
        }
        if text.starts_with("sha256:") {
            return Ok(Self::Digest(text.parse()?));
        }
        let path = Path::new(text);
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if is_json || path.is_file() {
            return Ok(Self::Receipt(path.to_owned()));
        }
        if path.join("oci-layout").is_file() {
            return Ok(Self::Layout { folder: path.to_owned(), tag: None, digest: None });
        }
        Ok(Self::Anywhere(text.parse()?))
    }

    fn layout(text: &str) -> Result<Self, LocationError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (folder, tag) = folder_and_tag(rest);
        Ok(Self::Layout { folder, tag, digest })
    }
}

impl Destination {
    /// Reads `NAME` or `docker-image://NAME` (a registry), `store://NAME`, or `oci-layout://DIR[:TAG]`.
    pub fn read(text: &str) -> Result<Self, LocationError> {
        let fixed = || LocationError::Fixed { text: text.to_owned() };
        let new = |name: &str| {
            let name: Reference = name.parse()?;
            if name.digest().is_some() { Err(fixed()) } else { Ok(name.with_tag(name.tag_or_latest())?) }
        };
        match text.split_once("://") {
            None => new(text).map(Self::Registry),
            Some(("docker" | "docker-image", name)) => new(name).map(Self::Registry),
            Some(("store", name)) => new(name).map(Self::Stored),
            Some(("oci-layout", rest)) if rest.contains('@') => Err(fixed()),
            Some(("oci-layout", rest)) => {
                let (folder, tag) = folder_and_tag(rest);
                Ok(Self::Layout { folder, tag: tag.unwrap_or_else(|| "latest".to_owned()) })
            }
            Some((scheme, _)) => Err(LocationError::Scheme { scheme: scheme.to_owned() }),
        }
    }

    /// The name in a registry, if that is where it goes.
    pub(super) fn registry(&self) -> Option<&Reference> {
        match self {
            Self::Registry(reference) => Some(reference),
            Self::Stored(_) | Self::Layout { .. } => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receipt(path) => path.display().fmt(f),
            Self::Digest(digest) => digest.fmt(f),
            Self::Anywhere(name) | Self::Stored(name) | Self::Registry(name) => name.familiar().fmt(f),
            Self::Layout { folder, tag, digest } => {
                write!(f, "oci-layout://{}", folder.display())?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
                digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
            }
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(name) => name.fmt(f),
            Self::Stored(name) => write!(f, "store://{}", name.familiar()),
            Self::Layout { folder, tag } => write!(f, "oci-layout://{}:{tag}", folder.display()),
        }
    }
}

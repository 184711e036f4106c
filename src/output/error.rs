//! Why an output could not be written.

use std::{io, path::PathBuf};

use polyarch_actors::{Digest, Platform};

use crate::{
    archive::UnpackError,
    error::with_sources,
    oci::{StoreError, layer::LayerError, layout::LayoutError},
};

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The operating system refused.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A layer is not what it should be.
    #[error("layer {layer} cannot be read: {reason}")]
    Layer {
        /// The blob.
        layer: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// Two platforms have a file of the same name, and nothing keeps them apart.
    #[error(
        "{path} is in the images of both {one} and {other}, and platform-split=false puts them into one folder"
    )]
    Clash {
        /// The file.
        path: String,
        /// The platform that came first.
        one: Platform,
        /// The other one.
        other: Platform,
    },
    /// A directory that is there stands where a file should go.
    #[error("{} is a directory that is not empty, and the image has something else there", path.display())]
    InTheWay {
        /// The directory.
        path: PathBuf,
    },
    /// A program that images are loaded into did not take one.
    #[error("{program} cannot load the image: {reason}")]
    Load {
        /// The program.
        program: &'static str,
        /// What it says.
        reason: String,
    },
    /// There is no such program.
    #[error("there is no docker, podman or buildah here that an image could be loaded into")]
    NoLoader,
    /// Docker has no name for what a layer is.
    #[error("Docker's media types have no name for a layer of type {0}: leave out oci-mediatypes=false")]
    NoDockerType(String),
    /// A root file system cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A layout cannot be written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl OutputError {
    /// Whether it is only what cancelling looks like from inside.
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Unpack(UnpackError::Cancelled))
    }

    pub(super) fn layer(layer: &Digest, reason: impl ToString) -> Self {
        Self::Layer { layer: layer.clone(), reason: reason.to_string() }
    }

    pub(super) fn of_layer(layer: &Digest, error: LayerError) -> Self {
        match error {
            LayerError::Cancelled => Self::Cancelled,
            LayerError::Store(error) => Self::Store(error),
            error => Self::layer(layer, with_sources(&error)),
        }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

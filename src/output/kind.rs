//! Where a finished build goes, and in which form.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::form::ImageForm;
use crate::oci::Reference;

/// Where a finished build goes, beside the store.
///
/// Source: buildx, `docs/reference/buildx_build.md`, "Set the export action".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Output {
    /// The root file systems, in a folder, as this user's files. What is there already stays unless it has a name that
    /// the image has too.
    Local {
        /// The folder, which is made where it is missing.
        folder: PathBuf,
        /// Whether each platform has a folder of its own, such as `linux_amd64`; by default where there are several.
        split: Option<bool>,
    },
    /// The root file systems as a tar archive, with owners and devices.
    Tar {
        /// Where it goes.
        to: Destination,
        /// Whether each platform has a folder of its own; by default where there are several.
        split: Option<bool>,
    },
    /// An OCI layout as a tar archive.
    OciArchive {
        /// Where it goes.
        to: Destination,
        /// What the image is like.
        image: ImageOptions,
    },
    /// An OCI layout as a directory, which must be new or empty.
    OciDirectory {
        /// The directory.
        folder: PathBuf,
        /// What the image is like.
        image: ImageOptions,
    },
    /// One image as `docker save` writes it.
    Docker {
        /// Where it goes.
        to: Destination,
        /// What the image is like.
        image: ImageOptions,
    },
    /// One image in the store of docker, podman or buildah, whichever works here first.
    Load {
        /// What the image is like.
        image: ImageOptions,
    },
    /// The index in the store, and in registries.
    Image {
        /// Whether it goes to the registries of its names, and how.
        push: Push,
        /// What the image is like.
        image: ImageOptions,
    },
}

/// Whether an image goes to the registries of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Push {
    /// It goes nowhere.
    No,
    /// Every name means it afterwards.
    Tags,
    /// It is there afterwards and has no name but its digest, until somebody puts it into an index.
    ByDigest,
}

/// Where an archive goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// To standard output.
    Stdout,
    /// To a file, a pipe or a device.
    File(PathBuf),
}

/// What is done with the images of one output before they go there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageOptions {
    /// Names beside the tags of the build.
    pub names: Vec<Reference>,
    /// What is made of them.
    pub form: ImageForm,
}

impl Output {
    /// An OCI layout as a tar archive in a file.
    pub fn oci_archive(file: impl Into<PathBuf>) -> Self {
        Self::OciArchive { to: Destination::File(file.into()), image: ImageOptions::default() }
    }

    /// The registries of the build's tags.
    pub fn registry() -> Self {
        Self::Image { push: Push::Tags, image: ImageOptions::default() }
    }

    /// What leaves the store with it; nothing where that is for registries alone.
    pub(crate) fn written(&self) -> Option<&'static str> {
        Some(match self {
            Self::Local { .. } => "local",
            Self::Tar { .. } => "tar",
            Self::OciArchive { .. } => "oci-archive",
            Self::OciDirectory { .. } => "oci-directory",
            Self::Docker { .. } => "docker",
            Self::Load { .. } => "load",
            Self::Image { .. } => return None,
        })
    }

    /// Whether it goes to registries.
    pub fn pushes(&self) -> bool {
        self.push() != Push::No
    }

    /// Whether it is made of layers that may still be in their registry, and if so whether those count too that
    /// registries may not keep: a layout says where they are.
    pub(crate) fn needs_layers(&self) -> Option<bool> {
        match self {
            Self::Image { .. } => None,
            Self::OciArchive { .. } | Self::OciDirectory { .. } => Some(false),
            Self::Local { .. } | Self::Tar { .. } | Self::Docker { .. } | Self::Load { .. } => Some(true),
        }
    }

    /// How it goes to registries.
    pub fn push(&self) -> Push {
        if let Self::Image { push, .. } = self { *push } else { Push::No }
    }

    /// Whether it goes to standard output.
    pub fn is_stream(&self) -> bool {
        matches!(
            self,
            Self::Tar { to: Destination::Stdout, .. }
                | Self::OciArchive { to: Destination::Stdout, .. }
                | Self::Docker { to: Destination::Stdout, .. }
        )
    }

    /// What is done with its images; absent where files go out instead of images.
    pub fn image(&self) -> Option<&ImageOptions> {
        match self {
            Self::OciArchive { image, .. }
            | Self::OciDirectory { image, .. }
            | Self::Docker { image, .. }
            | Self::Load { image }
            | Self::Image { image, .. } => Some(image),
            Self::Local { .. } | Self::Tar { .. } => None,
        }
    }

    /// What it makes of the images. Files that go out without their image are those of the images as they are.
    pub fn form(&self) -> Option<&ImageForm> {
        self.image().map(|image| &image.form)
    }

    /// The file or folder that it writes.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Local { folder, .. } | Self::OciDirectory { folder, .. } => Some(folder),
            Self::Tar { to: Destination::File(path), .. }
            | Self::Docker { to: Destination::File(path), .. }
            | Self::OciArchive { to: Destination::File(path), .. } => Some(path),
            _ => None,
        }
    }
}

//! Where the backend keeps what, below one folder.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::path::PathBuf;

use polyarch_actors::{Digest, Platform};

/// The folder of the backend.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    folder: PathBuf,
}

impl Layout {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    #[cfg(target_os = "linux")]
    /// The workers of one exact platform: buildah's cache takes the image of another platform for the same.
    pub(super) fn workers(&self, platform: &str) -> PathBuf {
        self.folder.join("workers").join(platform)
    }

    #[cfg(target_os = "linux")]
    /// The storage with one base image. Nothing in it is ever removed. No two bases share one: buildah 1.28 can wait
    /// for itself without end when it reads a storage while another process adds to it.
    pub(super) fn images(&self, base: &str) -> PathBuf {
        self.folder.join("images").join(base)
    }

    #[cfg(target_os = "linux")]
    /// What is known about a base image.
    pub(super) fn reference(&self, base: &str) -> PathBuf {
        self.folder.join("references").join(format!("{base}.json"))
    }

    /// Which blob of the store holds an uncompressed layer.
    pub(super) fn layer(&self, diff_id: &Digest) -> PathBuf {
        self.folder.join("layers").join(diff_id.hex())
    }

    /// Which manifest of the store is that of an image in a worker.
    pub(super) fn exported(&self, platform: &str, image: &str) -> PathBuf {
        self.folder.join("exported").join(platform).join(image)
    }

    #[cfg(target_os = "linux")]
    /// What was found out about this machine.
    pub(super) fn trial(&self) -> PathBuf {
        self.folder.join("trial.json")
    }

    #[cfg(target_os = "linux")]
    pub(super) fn root(&self) -> &Path {
        &self.folder
    }
}

/// A platform as the name of a folder: `linux-arm-v7`.
pub(super) fn folder_name(platform: &Platform) -> String {
    platform.to_string().replace('/', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_has_a_folder_of_its_own() {
        let names: Vec<String> =
            ["linux/amd64", "linux/amd64/v3", "linux/arm/v6", "linux/arm/v7", "linux/arm64"]
                .iter()
                .map(|platform| folder_name(&platform.parse().expect("platform")))
                .collect();
        assert_eq!(names, ["linux-amd64", "linux-amd64-v3", "linux-arm-v6", "linux-arm-v7", "linux-arm64"]);
    }
}

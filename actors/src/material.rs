//! What an image is made of that is from elsewhere.

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// What a build took from elsewhere, as far as whoever built knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Materials {
    /// Each thing once, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Material>,
    /// Whether nothing else was taken from outside the contexts of the build, apart from what RUN steps fetched.
    #[serde(default)]
    pub complete: bool,
}

impl Materials {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        self.found.is_empty() && !self.complete
    }

    /// Adds something, once.
    pub fn add(&mut self, material: Material) {
        if let Err(place) = self.found.binary_search(&material) {
            self.found.insert(place, material);
        }
    }
}

/// Something from elsewhere. No address has credentials in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Material {
    /// An image of a registry.
    Image {
        /// The reference as the Dockerfile or the command line has it.
        reference: String,
        /// The platform it was taken for.
        platform: Platform,
        /// The digest of the image's manifest for the platform.
        digest: Digest,
    },
    /// An image of a layout, or of a build before this one.
    LocalImage {
        /// What the build calls it.
        name: String,
        /// The platform it was taken for.
        platform: Platform,
        /// The digest of the image's manifest for the platform.
        digest: Digest,
    },
    /// A git repository.
    Git {
        /// Its address, with the branch or tag.
        address: String,
        /// The commit, in hexadecimal.
        commit: String,
    },
    /// A file of a web server.
    File {
        /// Its address.
        address: String,
        /// The digest of its bytes.
        digest: Digest,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_twice_is_listed_once_and_the_order_is_that_of_no_finder() {
        let git = |commit: &str| Material::Git { address: "https://h/a.git".into(), commit: commit.into() };
        let (mut one, mut other) = (Materials::default(), Materials::default());
        assert!(one.is_unknown());
        for commit in ["a", "b", "a"] {
            one.add(git(commit));
        }
        for commit in ["b", "a"] {
            other.add(git(commit));
        }
        assert_eq!(one, other);
        assert_eq!(one.found.len(), 2);
        assert!(!one.is_unknown());
    }
}

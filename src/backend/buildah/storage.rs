//! What stands in buildah's storage, read without starting buildah.
//!
//! The files are those of containers/storage: a folder for each image, and in it the image's documents under
//! base64 names. They are read only to save a process; whoever reads them can ask buildah instead.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use polyarch_actors::{Digest, Platform};
use serde::{Deserialize, Deserializer};

use crate::oci::digest_of;

/// The parts of an image config that matter here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ImageConfig {
    pub(super) os: String,
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) variant: Option<String>,
    #[serde(default)]
    pub(super) rootfs: RootFs,
    #[serde(default)]
    config: Option<DockerFields>,
}

/// What Docker's image config says beyond OCI's, and every runtime of Docker's kind reads.
///
/// Source: moby's image specification v1.3; BuildKit writes these fields in its OCI images too.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerFields {
    healthcheck: serde_json::Value,
    shell: serde_json::Value,
    on_build: serde_json::Value,
}

/// The layers of an image by the digests of their uncompressed content.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct RootFs {
    #[serde(default, deserialize_with = "list_or_null")]
    pub(super) diff_ids: Vec<Digest>,
}

/// buildah writes an empty list as `null`, as Go does.
pub(super) fn list_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    document: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(document)?.unwrap_or_default())
}

impl ImageConfig {
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Self> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The fields that are lost when the config is written as OCI has it, with their names.
    pub(super) fn beyond_oci(&self) -> Vec<(&'static str, serde_json::Value)> {
        let fields = self.config.clone().unwrap_or_default();
        let all =
            [("Healthcheck", fields.healthcheck), ("Shell", fields.shell), ("OnBuild", fields.on_build)];
        let says_nothing =
            |value: &serde_json::Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        all.into_iter().filter(|(_, value)| !says_nothing(value)).collect()
    }

    /// The platform it says it is for, if that is one.
    pub(super) fn platform(&self) -> Option<Platform> {
        Platform::new(self.os.parse().ok()?, &self.architecture, self.variant.as_deref()).ok()
    }

    /// The platform as it is written.
    pub(super) fn stated(&self) -> String {
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        let parts = [Some(self.os.as_str()), Some(self.architecture.as_str()), variant];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }
}

/// The config of an image in a storage root; `image` is its id in 64 hexadecimal digits.
pub(super) fn read_config(root: &Path, driver: &str, image: &str) -> io::Result<ImageConfig> {
    let name = format!("={}", base64(format!("sha256:{image}").as_bytes()));
    ImageConfig::parse(&fs::read(image_folder(root, driver, image).join(name))?)
}

/// The digest of the manifest that an image of a storage root was pulled with.
pub(super) fn manifest_digest(root: &Path, driver: &str, image: &str) -> Option<Digest> {
    // Its name is kept as it is, without an encoding, and its bytes are those of the registry.
    let bytes = fs::read(image_folder(root, driver, image).join("manifest")).ok()?;
    Some(digest_of(&bytes))
}

/// Whether a storage root has an image.
pub(super) fn has_image(root: &Path, driver: &str, image: &str) -> bool {
    image_folder(root, driver, image).is_dir()
}

/// The list of containers of a storage root.
pub(super) fn containers(root: &Path, driver: &str) -> PathBuf {
    root.join(format!("{driver}-containers/containers.json"))
}

fn image_folder(root: &Path, driver: &str, image: &str) -> PathBuf {
    root.join(format!("{driver}-images")).join(image)
}

/// Whether a text is an image id.
pub(super) fn is_image_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_found_under_their_encoded_names() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_config_says_its_platform() {
        let config = ImageConfig::parse(br#"{"os":"linux","architecture":"arm"}"#).expect("config");
        assert_eq!(config.platform().map(|platform| platform.to_string()).as_deref(), Some("linux/arm/v7"));
        assert_eq!(config.stated(), "linux/arm");
        let odd = ImageConfig::parse(br#"{"os":"plan9","architecture":"x","variant":"v1"}"#).expect("config");
        assert_eq!(odd.platform(), None);
        assert_eq!(odd.stated(), "plan9/x/v1");
    }
}

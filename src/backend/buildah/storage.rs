//! What stands in buildah's storage, read without starting buildah.
//!
//! The files are those of containers/storage: a folder for each image, and in it the image's documents under
//! base64 names. They are read only to save a process; whoever reads them can ask buildah instead.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use polyarch_actors::Digest;

use super::image_config::ImageConfig;
use crate::{guard::Layers, oci::digest_of};

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

/// The layers of a storage root.
pub(super) fn layers(root: &Path, driver: &str) -> Layers {
    let list = |of: &str| root.join(format!("{driver}-{of}/{of}.json"));
    Layers {
        list: list("layers"),
        users: vec![list("images"), list("containers")],
        folder: root.join(if driver == "vfs" { "vfs/dir" } else { driver }),
    }
}

fn image_folder(root: &Path, driver: &str, image: &str) -> PathBuf {
    root.join(format!("{driver}-images")).join(image)
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
}

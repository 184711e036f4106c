//! What reads hostile text in here, for the fuzz targets alone.

use super::{
    document::Steps,
    manifest::{self, Found},
};
use crate::oci::{index::canonical, media_type};

/// Reads a document of steps. Returns how many steps it has.
///
/// # Errors
/// Why it is no such document.
///
/// # Panics
/// Where one that is read cannot be written again as it was, or means something else once it is merged with itself.
pub fn steps(bytes: &[u8]) -> Result<usize, String> {
    let read = Steps::read(bytes)?;
    let written = canonical(&read, "a document of steps").map_err(|error| error.to_string())?;
    assert_eq!(Steps::read(&written).as_ref(), Ok(&read), "writing is stable");
    let mut merged = read.clone();
    merged.merge(read.clone());
    assert_eq!(merged, read, "both halves are the same");
    let mut from_nothing = Steps::default();
    from_nothing.merge(read.clone());
    assert_eq!(from_nothing, read, "nothing adds nothing");
    Ok(read.steps.len())
}

/// Reads what may be the manifest of a cache, or an index of some. Returns the steps that an image carries in it.
pub fn manifest(bytes: &[u8]) -> Option<String> {
    let _ = manifest::read(media_type::INDEX, bytes);
    match manifest::read(media_type::MANIFEST, bytes) {
        Ok(Found::Image(inline)) => inline,
        _ => None,
    }
}

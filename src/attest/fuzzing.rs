//! What reads hostile bytes in here, for the fuzz targets alone.

use super::{
    packages::{Found, Kind, Release},
    redact,
};

/// Reads the bytes of the file at a path as far as it names packages. Returns how many it names.
pub fn packages(path: &str, bytes: &[u8]) -> usize {
    let mut found = Found::default();
    if let Some(kind) = Kind::of(path.as_bytes()) {
        kind.read(path, bytes, &mut found);
    }
    let _ = Release::read(bytes);
    found.packages.len()
}

/// A text without the credentials of the addresses in it.
pub fn redacted(text: &str) -> String {
    redact::text(text)
}

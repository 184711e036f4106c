//! What reads hostile text in here, for the fuzz targets alone.

use super::{auth_file::AuthFile, challenge, document};

/// What a document is, and how many others it points at.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadDocument {
    /// Its kind.
    pub media_type: String,
    /// How many manifests, or layers, it names.
    pub parts: usize,
}

/// The challenge to follow: nothing, a password, or a token from a realm.
pub fn challenge(headers: &[&str]) -> Option<Option<String>> {
    challenge::choose(headers.iter().copied()).map(|chosen| match chosen {
        challenge::Challenge::Basic => None,
        challenge::Challenge::Bearer { realm, .. } => Some(realm),
    })
}

/// Reads a manifest or an index.
pub fn document(bytes: &[u8], declared: Option<&str>) -> Result<ReadDocument, String> {
    let read = document::read(bytes, declared)?;
    let parts = match &read.content {
        document::Content::Index(manifests) => manifests.len(),
        document::Content::Image { layers, .. } => {
            layers.iter().for_each(|layer| assert!(layer.foreign_urls().len() <= bytes.len()));
            layers.len()
        }
    };
    Ok(ReadDocument { media_type: read.media_type, parts })
}

/// Reads a file of credentials, and looks for some.
pub fn auth_file(bytes: &[u8]) {
    if let Ok(file) = AuthFile::parse(bytes) {
        let _ = file.entries("docker.io", "library/alpine");
        let _ = file.entries("registry.example:5000", "team/app");
    }
}

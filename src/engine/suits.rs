//! The check that an imported layer is what was said of it.

use std::io::{self, Read};

use polyarch_actors::{Descriptor, Digest};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::{
    archive::{Compression, decompress},
    cache::compression,
    oci::{Store, StoreError},
};

/// How much is hashed at once, in bytes.
const PIECE: usize = 128 << 10;

/// Whether a blob of the store is the layer that it is said to be: compressed as its media type says, with an archive
/// of that digest in it. It blocks.
///
/// What is known of a layer is known by the digest of its archive, so whoever lies about that could pass off one layer
/// as another.
pub(super) fn suits(
    store: &Store,
    blob: &Descriptor,
    diff_id: &Digest,
    cancel: &CancellationToken,
) -> Result<bool, StoreError> {
    let mut file = store.open_blob(&blob.digest)?;
    let archive = || -> io::Result<bool> {
        let mut head = Vec::new();
        file.by_ref().take(6).read_to_end(&mut head)?;
        if Some(Compression::of(&head)) != compression(&blob.media_type) {
            return Ok(false);
        }
        let mut source = decompress(io::Cursor::new(head).chain(file))?;
        let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
        while !cancel.is_cancelled() {
            match source.read(&mut piece) {
                Ok(0) => return Ok(Digest::from_sha256(&hash.finalize().into()) == *diff_id),
                Ok(read) => hash.update(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    };
    // Whatever cannot be read is no layer.
    Ok(archive().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Write as _};

    use super::*;
    use crate::oci::digest_of;

    #[test]
    fn a_layer_suits_if_its_archive_and_its_compression_are_what_was_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let archive = vec![7; 300_000];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&archive).expect("compressed");
        let bytes = gzip.finish().expect("compressed");
        let kind = |suffix: &str| format!("application/vnd.oci.image.layer.v1.tar{suffix}");
        let check = |bytes: &[u8], kind: String, said: &[u8]| {
            let digest = store.put(bytes).expect("stored");
            let blob = Descriptor {
                media_type: kind,
                digest,
                size: bytes.len() as u64,
                annotations: BTreeMap::new(),
            };
            suits(&store, &blob, &digest_of(said), &CancellationToken::new()).expect("read")
        };
        assert!(check(&bytes, kind("+gzip"), &archive));
        assert!(check(&archive, kind(""), &archive));
        assert!(!check(&bytes, kind("+gzip"), b"another"), "another archive");
        assert!(!check(&bytes, kind("+zstd"), &archive), "another compression");
        assert!(!check(&bytes, kind(""), &archive), "said not to be compressed");
        assert!(!check(&bytes[..bytes.len() / 2], kind("+gzip"), &archive), "half of it");
    }
}

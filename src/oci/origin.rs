//! Where blobs can be had that images of the store need and the store does not have.
//!
//! The layers of a base of Windows are gigabytes that hardly anything looks into, so they stay in their registry until
//! somebody wants them. Which one that is stands beside the store's blobs: a manifest has no place for it, since it is
//! the same wherever its layers are.

use std::fs;

use polyarch_actors::Digest;

use super::{
    error::{StoreError, at},
    reference::Reference,
    store::Store,
};

/// The folder, with one small file a blob.
pub(crate) const FOLDER: &str = "origins";

impl Store {
    /// Remembers that the repository of `origin` has a blob.
    pub(crate) fn note_origin(&self, blob: &Digest, origin: &Reference) -> Result<(), StoreError> {
        self.hold(blob);
        let folder = self.root().join(FOLDER);
        fs::create_dir_all(&folder).map_err(at("make", &folder))?;
        self.replace(FOLDER, blob.hex(), origin.name().as_bytes())
    }

    /// A repository that has a blob, as far as that is known.
    pub(crate) fn origin(&self, blob: &Digest) -> Option<Reference> {
        fs::read_to_string(self.root().join(FOLDER).join(blob.hex())).ok()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest_of;

    #[test]
    fn a_repository_is_remembered_and_no_tag_of_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let (blob, other) = (digest_of(b"layer"), digest_of(b"other"));
        let base: Reference = "127.0.0.1:5000/windows/servercore:ltsc2022".parse().expect("a name");
        store.note_origin(&blob, &base).expect("noted");
        assert_eq!(store.origin(&blob).expect("known").name(), base.name());
        assert_eq!(store.origin(&other), None);
    }
}

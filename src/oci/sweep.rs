//! Removing blobs: never one that a name needs, nor one that a running build has seen.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    time::SystemTime,
};

use polyarch_actors::Digest;

use super::{
    error::{StoreError, at},
    layout,
    lease::{self, Gate},
    store::Store,
};

/// A blob as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written.
    pub written: SystemTime,
}

/// What became of blobs that were to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweptBlobs {
    /// They are gone.
    pub removed: Vec<Digest>,
    /// A name needs them, or a build that runs has seen them.
    pub kept: Vec<Digest>,
}

impl Store {
    /// Every blob of the store.
    pub fn blobs(&self) -> Result<Vec<StoredBlob>, StoreError> {
        let folder = self.root().join("blobs/sha256");
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at("list", &folder))? {
            let entry = entry.map_err(at("list", &folder))?;
            let digest = entry.file_name().to_str().and_then(|name| format!("sha256:{name}").parse().ok());
            let Some(digest) = digest else { continue };
            match entry.metadata() {
                Ok(found) => {
                    let written = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    blobs.push(StoredBlob { digest, size: found.len(), written });
                }
                // Removed by another process since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at("look at", &entry.path())(error)),
            }
        }
        Ok(blobs)
    }

    /// The blobs that the names need: what they point at, and everything that points at in turn.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] and [`StoreError::Malformed`] when it cannot be told what an image needs.
    pub fn needed_by_names(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let mut needed = BTreeSet::new();
        for named in self.names()? {
            needed.append(&mut layout::reachable(self, &named.descriptor)?);
        }
        Ok(needed)
    }

    /// The blobs that builds use now, in this process and in others.
    pub fn blobs_in_use(&self) -> Result<HashSet<Digest>, StoreError> {
        lease::in_use(self.root())
    }

    /// Removes blobs, all but those that are needed or in use at that moment.
    pub fn remove_blobs(&self, wanted: &[Digest]) -> Result<SweptBlobs, StoreError> {
        // First the names: nobody may give one to what is about to go.
        let names = self.lock_names()?;
        let Some(gate) = Gate::shut(self.root())? else {
            return Ok(SweptBlobs { removed: Vec::new(), kept: wanted.to_vec() });
        };
        // A build that ends meanwhile has moved its names before its list is forgotten, so the lists are read first.
        let in_use = self.blobs_in_use()?;
        let needed = self.needed_by_names()?;
        let trash = self.scratch_dir("trash")?;
        let mut swept = SweptBlobs::default();
        for digest in wanted {
            if in_use.contains(digest) || needed.contains(digest) {
                swept.kept.push(digest.clone());
                continue;
            }
            let path = self.blob_path(digest);
            match fs::rename(&path, trash.path().join(digest.hex())) {
                Ok(()) => swept.removed.push(digest.clone()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at("remove", &path)(error)),
            }
        }
        // Freeing the space of large files takes time, and nobody has to wait for that.
        drop((gate, names));
        drop(trash);
        Ok(swept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{digest_of, media_type};
    use polyarch_actors::Descriptor;
    use std::collections::BTreeMap;

    #[test]
    fn what_a_name_needs_or_a_lease_has_seen_is_not_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let (config, layer) = (store.put(b"{}").expect("stored"), store.put(b"layer").expect("stored"));
        let text =
            format!("{{\"config\":{{\"digest\":\"{config}\"}},\"layers\":[{{\"digest\":\"{layer}\"}}]}}");
        let manifest = Descriptor {
            media_type: media_type::MANIFEST.into(),
            digest: store.put(text.as_bytes()).expect("stored"),
            size: text.len() as u64,
            annotations: BTreeMap::new(),
        };
        let names = store.lock_names().expect("lock");
        names.set(&"app:1".parse().expect("a name"), &manifest).expect("set");
        drop(names);
        let (free, seen) = (store.put(b"free").expect("stored"), store.put(b"seen").expect("stored"));
        let builder = Store::open(folder.path()).expect("another process");
        let lease = builder.lease().expect("a lease");
        assert!(builder.contains(&seen));
        let all: Vec<Digest> = store.blobs().expect("listed").into_iter().map(|blob| blob.digest).collect();
        assert_eq!(all.len(), 5);
        let swept = store.remove_blobs(&all).expect("swept");
        assert_eq!(swept.removed, [free]);
        drop(lease);
        let swept = store.remove_blobs(&all).expect("swept");
        assert_eq!(swept.removed, [seen]);
        assert!([&config, &layer, &manifest.digest].into_iter().all(|digest| store.contains(digest)));
    }

    #[test]
    fn a_build_finds_each_blob_it_has_seen_whatever_is_removed_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let store = Store::open(root).expect("a store");
                let mut removed = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let all: Vec<Digest> =
                        store.blobs().expect("listed").into_iter().map(|blob| blob.digest).collect();
                    removed += store.remove_blobs(&all).expect("swept").removed.len();
                }
                assert!(removed > 0, "nothing was tested");
            });
            for round in 0..60_u32 {
                let store = Store::open(root).expect("a store");
                let lease = store.lease().expect("a lease");
                let texts: Vec<String> = (0..8).map(|number| format!("{} {number}", round / 2)).collect();
                let stored: Vec<Digest> =
                    texts.iter().map(|text| store.put(text.as_bytes()).expect("stored")).collect();
                std::thread::yield_now();
                for (text, digest) in texts.iter().zip(&stored) {
                    assert_eq!(*digest, digest_of(text.as_bytes()));
                    assert_eq!(store.read_document(digest).expect("there"), text.as_bytes());
                }
                drop(lease);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}

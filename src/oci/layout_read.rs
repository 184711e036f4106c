//! Reading an image out of an OCI image layout into the store.
//!
//! Source: OCI image specification, `image-layout.md`; buildx, `build/opt.go` (`resolveDigest`).

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use polyarch_actors::{Descriptor, Digest};
use serde::Deserialize;

use super::{
    error::StoreError,
    index::Index,
    media_type,
    store::{LARGEST_DOCUMENT, MOST_LAYERS, Store, digest_of},
};

/// The annotation of an entry that names it.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// How deep indexes may be nested.
const DEEPEST: usize = 4;

/// Why a layout cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutReadError {
    /// The directory is something else.
    #[error("{} is no OCI image layout: {reason}", folder.display())]
    NoLayout {
        /// The directory.
        folder: PathBuf,
        /// What is odd about it.
        reason: String,
    },
    /// It has no image of that name.
    #[error("the OCI image layout {} has no image {name}; it has {known}", folder.display())]
    NoImage {
        /// The directory.
        folder: PathBuf,
        /// What was looked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A blob is missing or cannot be read.
    #[error("cannot read {}", path.display())]
    Blob {
        /// The blob.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A document in it is malformed.
    #[error("{} is malformed: {reason}", path.display())]
    Malformed {
        /// The document.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed, or a blob has another digest than its name says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies an image or index out of the layout `folder` into the store: that with the digest, else that with the
/// tag `latest` or the one given, else the only one. Every digest is checked.
///
/// Images of an index that the layout does not hold are left out.
pub fn read_layout(
    store: &Store,
    folder: &Path,
    tag: Option<&str>,
    digest: Option<&Digest>,
) -> Result<Descriptor, LayoutReadError> {
    let layout = Layout { folder };
    let root = layout.find(tag, digest)?;
    layout.copy(store, &root, 0, &mut HashSet::new())?;
    Ok(root)
}

/// Reads the manifest or index that [`read_layout`] would copy, and nothing else.
pub(crate) fn read_layout_manifest(
    folder: &Path,
    tag: Option<&str>,
    digest: Option<&Digest>,
) -> Result<(Descriptor, Vec<u8>), LayoutReadError> {
    let layout = Layout { folder };
    let root = layout.find(tag, digest)?;
    let bytes = layout.checked(&root)?;
    Ok((root, bytes))
}

/// Copies one blob out of the layout `folder` into the store, unless it is there.
pub(crate) fn copy_layout_blob(store: &Store, folder: &Path, digest: &Digest) -> Result<(), LayoutReadError> {
    let part = Part { digest: digest.clone(), media_type: String::new(), size: None, urls: None };
    Layout { folder }.copy_blob(store, &part)
}

struct Layout<'r> {
    folder: &'r Path,
}

#[derive(Deserialize)]
struct Image {
    config: Part,
    #[serde(default)]
    layers: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    digest: Digest,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

impl Part {
    /// Whether it may be where its manifest says instead.
    fn may_be_elsewhere(&self) -> bool {
        media_type::is_foreign(&self.media_type) || self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }
}

impl Layout<'_> {
    fn find(&self, tag: Option<&str>, digest: Option<&Digest>) -> Result<Descriptor, LayoutReadError> {
        let no_layout = |reason: String| LayoutReadError::NoLayout { folder: self.folder.to_owned(), reason };
        let path = self.folder.join("index.json");
        let bytes = Self::document(&path).map_err(|error| no_layout(format!("index.json: {error}")))?;
        let index: Index = serde_json::from_slice(&bytes)
            .map_err(|error| no_layout(format!("its index.json is malformed: {error}")))?;
        let entries = || index.manifests.iter().map(|entry| &entry.descriptor);
        let name = |entry: &Descriptor| entry.annotations.get(REF_NAME).cloned();
        let wanted = tag.unwrap_or("latest");
        let found = match digest {
            Some(digest) => entries().find(|entry| entry.digest == *digest),
            None => entries().find(|entry| name(entry).as_deref() == Some(wanted)),
        };
        let only = || (digest.is_none() && index.manifests.len() == 1).then(|| entries().next()).flatten();
        if let Some(found) = found.or_else(only) {
            return Ok(Descriptor { annotations: std::collections::BTreeMap::new(), ..found.clone() });
        }
        // A digest may be that of an image inside an index.
        if let Some(digest) = digest.filter(|digest| self.blob(digest).is_file()) {
            return self.describe(digest);
        }
        let known: Vec<String> =
            entries().map(|entry| name(entry).unwrap_or_else(|| entry.digest.to_string())).collect();
        Err(LayoutReadError::NoImage {
            folder: self.folder.to_owned(),
            name: digest.map_or_else(|| wanted.to_owned(), ToString::to_string),
            known: if known.is_empty() { "none".into() } else { known.join(", ") },
        })
    }

    /// The descriptor of a manifest that no index here describes.
    fn describe(&self, digest: &Digest) -> Result<Descriptor, LayoutReadError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Typed {
            #[serde(default)]
            media_type: Option<String>,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
        }
        let path = self.blob(digest);
        let bytes =
            Self::document(&path).map_err(|source| LayoutReadError::Blob { path: path.clone(), source })?;
        let typed: Typed = serde_json::from_slice(&bytes)
            .map_err(|error| LayoutReadError::Malformed { path, reason: error.to_string() })?;
        let plain = if typed.manifests.is_some() { media_type::INDEX } else { media_type::MANIFEST };
        Ok(Descriptor {
            media_type: typed.media_type.unwrap_or_else(|| plain.to_owned()),
            digest: digest.clone(),
            size: bytes.len() as u64,
            annotations: std::collections::BTreeMap::new(),
        })
    }

    /// Copies a manifest or index and everything it points at; itself last. What is `done` is not copied again.
    fn copy(
        &self,
        store: &Store,
        root: &Descriptor,
        depth: usize,
        done: &mut HashSet<Digest>,
    ) -> Result<(), LayoutReadError> {
        if done.contains(&root.digest) {
            return Ok(());
        }
        let path = self.blob(&root.digest);
        let malformed = |reason: String| LayoutReadError::Malformed { path: path.clone(), reason };
        let bytes = self.checked(root)?;
        if media_type::is_index(&root.media_type) {
            if depth >= DEEPEST {
                return Err(malformed("its indexes are nested too deeply".into()));
            }
            let index: Index =
                serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
            for entry in index.manifests {
                if self.blob(&entry.descriptor.digest).is_file() {
                    self.copy(store, &entry.descriptor, depth + 1, done)?;
                }
            }
        } else {
            let image: Image =
                serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
            let count = image.layers.len();
            if count > MOST_LAYERS {
                return Err(malformed(format!(
                    "it has {count} layers, more than the {MOST_LAYERS} that are accepted"
                )));
            }
            for part in image.layers.into_iter().chain([image.config]) {
                // What a manifest may not hold itself is where its addresses say.
                if !part.may_be_elsewhere() || self.blob(&part.digest).is_file() {
                    self.copy_blob(store, &part)?;
                }
            }
        }
        store.put(&bytes)?;
        done.insert(root.digest.clone());
        Ok(())
    }

    /// The bytes of a document, which have its digest.
    fn checked(&self, root: &Descriptor) -> Result<Vec<u8>, LayoutReadError> {
        let path = self.blob(&root.digest);
        let bytes =
            Self::document(&path).map_err(|source| LayoutReadError::Blob { path: path.clone(), source })?;
        let found = digest_of(&bytes);
        if found == root.digest {
            return Ok(bytes);
        }
        Err(StoreError::Corrupt { path, expected: root.digest.clone(), found }.into())
    }

    /// A copy and no link: the layout is somebody else's, who may write to it.
    fn copy_blob(&self, store: &Store, part: &Part) -> Result<(), LayoutReadError> {
        let digest = &part.digest;
        if store.contains(digest) {
            return Ok(());
        }
        let path = self.blob(digest);
        let unreadable = |source| LayoutReadError::Blob { path: path.clone(), source };
        let mut file = open(&path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        if let Some(expected) = part.size.filter(|expected| *expected != size) {
            let reason = format!("it has {size} bytes, and its manifest says {expected}");
            return Err(LayoutReadError::Malformed { path, reason });
        }
        let mut writer = store.writer_of(size)?;
        io::copy(&mut file, &mut writer).map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Io { action: "copy", path: path.clone(), source }.into()
            }
            _ => unreadable(source),
        })?;
        writer.commit(Some(digest)).map_err(|error| match error {
            StoreError::Corrupt { expected, found, .. } => {
                StoreError::Corrupt { path: path.clone(), expected, found }
            }
            error => error,
        })?;
        Ok(())
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    fn document(path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open(path)?.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large for a manifest"));
        }
        Ok(bytes)
    }
}

/// Opens a file, and nothing that would wait for somebody or never end.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{index::IndexEntry, layout};

    fn stores() -> (tempfile::TempDir, Store, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let [one, two] = ["one", "two"].map(|name| Store::open(folder.path().join(name)).expect("a store"));
        (folder, one, two)
    }

    /// An index of one image, written as a layout with the name `app:1`.
    fn layout_of(store: &Store, folder: &Path) -> Descriptor {
        let config = store.put(b"{}").expect("stored");
        let layer = store.put(b"layer").expect("stored");
        let manifest = format!(
            "{{\"schemaVersion\":2,\"config\":{{\"digest\":\"{config}\"}},\"layers\":[{{\"digest\":\"{layer}\"}}]}}"
        );
        let manifest = Descriptor {
            media_type: media_type::MANIFEST.into(),
            digest: store.put(manifest.as_bytes()).expect("stored"),
            size: manifest.len() as u64,
            annotations: std::collections::BTreeMap::new(),
        };
        let mut index = Index::default();
        index.add(IndexEntry::new(manifest, &"linux/amd64".parse().expect("platform"))).expect("added");
        let root = index.save(store).expect("saved");
        layout::write_directory(store, &root, &["app:1".parse().expect("a name")], folder).expect("written");
        root
    }

    #[test]
    fn an_image_is_found_by_tag_by_digest_and_alone() {
        let (folder, from, to) = stores();
        let path = folder.path().join("layout");
        let root = layout_of(&from, &path);
        for (tag, digest) in [(Some("1"), None), (None, None), (None, Some(&root.digest))] {
            let read = read_layout(&to, &path, tag, digest).expect("read");
            assert_eq!(read.digest, root.digest);
        }
        assert_eq!(layout::closure(&to, &root).expect("complete").len(), 4);
        assert!(layout::closure(&to, &root).expect("listed").iter().all(|blob| to.contains(blob)));
        let child = Index::read(&to, &root.digest).expect("an index").manifests[0].descriptor.clone();
        assert_eq!(
            read_layout(&to, &path, None, Some(&child.digest)).expect("read").media_type,
            child.media_type
        );
    }

    #[test]
    fn what_is_missing_or_changed_is_named() {
        let (folder, from, to) = stores();
        let path = folder.path().join("layout");
        layout_of(&from, &path);
        let absent = digest_of(b"absent");
        let error = read_layout(&to, &path, None, Some(&absent)).expect_err("absent").to_string();
        assert!(error.contains(absent.hex()) && error.contains("has no image"), "{error}");
        let error = read_layout(&to, folder.path(), None, None).expect_err("no layout").to_string();
        assert!(error.contains("is no OCI image layout"), "{error}");
        let layer = path.join("blobs/sha256").join(digest_of(b"layer").hex());
        fs::write(&layer, "other").expect("changed");
        let error = read_layout(&to, &path, None, None).expect_err("changed").to_string();
        assert!(error.contains(&layer.display().to_string()), "{error}");
        assert!(!to.contains(&digest_of(b"layer")) && !to.contains(&digest_of(b"other")));
    }

    #[test]
    fn indexes_of_indexes_cost_no_more_than_what_is_in_them() {
        let (folder, from, to) = stores();
        let path = folder.path().join("layout");
        let mut root = layout_of(&from, &path);
        // Read again and again, these would be a thousand million.
        for _ in 0..3 {
            let entry = serde_json::to_value(&root).expect("json");
            let index = serde_json::json!({"schemaVersion": 2, "manifests": vec![entry; 1000]}).to_string();
            fs::write(path.join("blobs/sha256").join(digest_of(index.as_bytes()).hex()), &index)
                .expect("written");
            root.digest = digest_of(index.as_bytes());
            root.size = index.len() as u64;
        }
        let begun = std::time::Instant::now();
        read_layout(&to, &path, None, Some(&root.digest)).expect("read");
        assert!(begun.elapsed().as_secs() < 10);
    }

    #[test]
    #[cfg(unix)]
    fn what_would_never_end_or_has_another_length_is_not_read() {
        let (folder, from, to) = stores();
        let path = folder.path().join("layout");
        layout_of(&from, &path);
        let layer = path.join("blobs/sha256").join(digest_of(b"layer").hex());
        fs::remove_file(&layer).expect("removed");
        nix::unistd::mkfifo(&layer, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let error = read_layout(&to, &path, None, None).expect_err("a pipe");
        assert!(crate::error::with_sources(&error).contains("it is no file"), "{error}");
        fs::remove_file(&layer).expect("removed");
        // A hole larger than the disk would take hours to find out about.
        File::create(&layer).and_then(|file| file.set_len(8 << 40)).expect("a hole");
        let error = read_layout(&to, &path, None, None).expect_err("too large");
        assert!(matches!(&error, LayoutReadError::Store(store) if store.is_full()), "{error}");
    }
}

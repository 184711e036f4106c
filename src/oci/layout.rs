//! Writing an index out of the store as an OCI image layout, as a directory or a tar archive.
//!
//! Source: OCI image specification, `image-layout.md`. The archive has sorted entries and fixed header
//! fields, so equal indexes give equal archives.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use polyarch_actors::{Descriptor, Digest};
use serde::Deserialize;

use super::{
    error::StoreError,
    index::{Index, IndexEntry, canonical},
    media_type,
    names::name_annotations,
    reference::Reference,
    store::Store,
};
use crate::draft::Draft;

/// Why an output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The operating system refused.
    #[error("cannot write {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is something where the output should go.
    #[error("{path} is there and not empty: name another directory, or remove it first")]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// There is something like a layout, which cannot be added to.
    #[error("{path} is no OCI image layout: its index.json is malformed: {reason}")]
    NoLayout {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything that a manifest or index points at, itself included, in the order of the digests.
pub fn closure(store: &Store, root: &Descriptor) -> Result<BTreeSet<Digest>, StoreError> {
    walk(store, root, Err)
}

/// The same of something that may not be whole: what is missing leads nowhere.
pub(crate) fn reachable(store: &Store, root: &Descriptor) -> Result<BTreeSet<Digest>, StoreError> {
    walk(store, root, |error| match error {
        StoreError::Missing(_) => Ok(()),
        error => Err(error),
    })
}

fn walk(
    store: &Store,
    root: &Descriptor,
    unreadable: impl Fn(StoreError) -> Result<(), StoreError>,
) -> Result<BTreeSet<Digest>, StoreError> {
    let mut seen = BTreeSet::new();
    let mut open = vec![(root.digest.clone(), root.media_type.clone())];
    while let Some((digest, media_type)) = open.pop() {
        if !seen.insert(digest.clone()) {
            continue;
        }
        if media_type::is_index(&media_type) {
            let index = match Index::read(store, &digest) {
                Ok(index) => index,
                Err(error) => {
                    unreadable(error)?;
                    continue;
                }
            };
            let entries = index.manifests.into_iter();
            open.extend(entries.map(|entry| (entry.descriptor.digest, entry.descriptor.media_type)));
        } else if media_type::is_manifest(&media_type) {
            let bytes = match store.read_document(&digest) {
                Ok(bytes) => bytes,
                Err(error) => {
                    unreadable(error)?;
                    continue;
                }
            };
            let parts: ManifestParts = serde_json::from_slice(&bytes).map_err(|error| {
                StoreError::Malformed { what: format!("the manifest {digest}"), reason: error.to_string() }
            })?;
            let layers = parts.layers.into_iter().filter(|layer| !layer.is_elsewhere(store));
            let blobs = layers.chain([parts.config]).map(|part| part.digest);
            seen.extend(blobs);
        }
    }
    Ok(seen)
}

#[derive(Deserialize)]
struct ManifestParts {
    config: Part,
    layers: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    digest: Digest,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    urls: Option<Vec<String>>,
}

impl Part {
    /// Whether it stays where its manifest says, and needs not be in the store.
    fn is_elsewhere(&self, store: &Store) -> bool {
        let has_urls = self.urls.as_ref().is_some_and(|urls| !urls.is_empty());
        let foreign = media_type::is_foreign(&self.media_type);
        (foreign && has_urls) || (foreign || has_urls) && !store.contains(&self.digest)
    }
}

/// The `index.json` of a layout in which these things have these names.
pub(super) fn index_json(entries: &[(&Descriptor, Option<&Reference>)]) -> Result<Vec<u8>, StoreError> {
    let mut index = Index::default();
    for (descriptor, reference) in entries {
        let mut descriptor = (*descriptor).clone();
        descriptor.annotations.extend(reference.map(name_annotations).unwrap_or_default());
        index.manifests.push(IndexEntry::without_platform(descriptor));
    }
    canonical(&index, "index.json")
}

/// Writes a layout as a tar archive to `out`.
pub fn write_archive(
    store: &Store,
    root: &Descriptor,
    names: &[Reference],
    out: impl Write,
) -> Result<(), LayoutError> {
    write_archive_with(store, root, names, [], out)
}

/// The same with further documents.
pub(crate) fn write_archive_with(
    store: &Store,
    root: &Descriptor,
    names: &[Reference],
    further: impl IntoIterator<Item = (&'static str, Vec<u8>)>,
    out: impl Write,
) -> Result<(), LayoutError> {
    let failed = |source| LayoutError::Io { path: "the archive".into(), source };
    let mut archive = tar::Builder::new(out);
    let blobs = closure(store, root)?;
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(0, tar::EntryType::Directory, 0o755);
        archive.append_data(&mut header, folder, io::empty()).map_err(failed)?;
    }
    for digest in blobs {
        let file = store.open_blob(&digest)?;
        let mut header = header(store.size(&digest)?, tar::EntryType::Regular, 0o644);
        archive.append_data(&mut header, format!("blobs/sha256/{}", digest.hex()), file).map_err(failed)?;
    }
    for (name, bytes) in documents(root, names)?.into_iter().chain(further) {
        let mut header = header(bytes.len() as u64, tar::EntryType::Regular, 0o644);
        archive.append_data(&mut header, name, &bytes[..]).map_err(failed)?;
    }
    archive.into_inner().and_then(|mut out| out.flush()).map_err(failed)
}

/// Writes a layout as a directory that appears under its name only when it is complete.
pub fn write_directory(
    store: &Store,
    root: &Descriptor,
    names: &[Reference],
    path: &Path,
) -> Result<(), LayoutError> {
    let failed = |source| LayoutError::Io { path: path.to_owned(), source };
    // An empty directory may be replaced; one with something in it is somebody's work.
    match fs::read_dir(path).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return Err(LayoutError::Occupied { path: path.to_owned() }),
        Ok(false) => fs::remove_dir(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = Draft::new(parent).map_err(failed)?;
    let layout = draft.path().join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(failed)?;
    for digest in closure(store, root)? {
        fs::copy(store.blob_path(&digest), blobs.join(digest.hex())).map_err(failed)?;
    }
    for (name, bytes) in documents(root, names)? {
        fs::write(layout.join(name), bytes).map_err(failed)?;
    }
    fs::rename(&layout, path).map_err(failed)
}

/// Makes `folder` a layout of one thing in the store, without copying a blob. Its tag is its digest without the
/// algorithm.
#[cfg(target_os = "linux")]
pub(crate) fn link_directory(store: &Store, root: &Descriptor, folder: &Path) -> Result<(), LayoutError> {
    let failed = |source| LayoutError::Io { path: folder.to_owned(), source };
    fs::create_dir(folder).map_err(failed)?;
    std::os::unix::fs::symlink(store.root().join("blobs"), folder.join("blobs")).map_err(failed)?;
    let name = format!("localhost/layout:{}", root.digest.hex()).parse();
    let name: Reference = name.map_err(|error| failed(io::Error::other(error)))?;
    let documents = documents(root, &[name])?;
    documents.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes).map_err(failed))
}

/// The files of a layout beside the blobs.
fn documents(root: &Descriptor, names: &[Reference]) -> Result<[(&'static str, Vec<u8>); 2], StoreError> {
    let entries: Vec<_> = match names {
        [] => vec![(root, None)],
        names => names.iter().map(|name| (root, Some(name))).collect(),
    };
    Ok([("index.json", index_json(&entries)?), ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())])
}

fn header(size: u64, kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn image(store: &Store) -> Descriptor {
        let config = store.put(b"{}").expect("stored");
        let layer = store.put(b"layer").expect("stored");
        let manifest = format!(
            "{{\"schemaVersion\":2,\"config\":{{\"digest\":\"{config}\"}},\"layers\":[{{\"digest\":\"{layer}\"}},\
             {{\"digest\":\"{layer}\",\"urls\":[]}}]}}"
        );
        let manifest = Descriptor {
            media_type: media_type::MANIFEST.into(),
            digest: store.put(manifest.as_bytes()).expect("stored"),
            size: manifest.len() as u64,
            annotations: BTreeMap::new(),
        };
        let mut index = Index::default();
        index.add(IndexEntry::new(manifest, &"linux/amd64".parse().expect("platform"))).expect("added");
        index.save(store).expect("saved")
    }

    #[test]
    fn an_archive_is_complete_and_reproducible() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let root = image(&store);
        let names = ["app:1".parse().expect("a name")];
        let [bytes, again] = [(); 2].map(|()| {
            let mut bytes = Vec::new();
            write_archive(&store, &root, &names, &mut bytes).expect("written");
            bytes
        });
        assert_eq!(bytes, again);
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().expect("entries").map(|entry| entry.expect("entry"));
        let names_in: Vec<_> =
            entries.map(|entry| entry.path().expect("path").display().to_string()).collect();
        assert_eq!(names_in.iter().filter(|name| name.starts_with("blobs/sha256/")).count(), 5);
        assert_eq!(names_in[names_in.len() - 2..], ["index.json", "oci-layout"]);
    }

    #[test]
    fn a_directory_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let root = image(&store);
        let path = folder.path().join("layout");
        fs::create_dir(&path).expect("made");
        write_directory(&store, &root, &[], &path).expect("written");
        assert!(path.join("oci-layout").is_file());
        assert!(matches!(write_directory(&store, &root, &[], &path), Err(LayoutError::Occupied { .. })));
    }
}

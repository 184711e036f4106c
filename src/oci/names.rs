//! Names of images in the store: small files that are renamed into place, one a name.
//!
//! Whoever changes names holds a lock, so a name that is read, changed and written cannot lose what another
//! process wrote in between. Readers need no lock. `index.json` follows the names, so the store can be read
//! by anything that reads OCI layouts.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
};

use polyarch_actors::{Descriptor, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    error::{StoreError, at},
    index::canonical,
    layout,
    reference::Reference,
    store::{Store, digest_of},
};
use crate::held::Lock;

const FOLDER: &str = "names";

/// A name and what it points at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedImage {
    /// The name, with a tag.
    pub reference: Reference,
    /// The index or manifest.
    pub descriptor: Descriptor,
    /// When the name was last set.
    pub updated: Timestamp,
}

/// The right to change names. Released when dropped.
#[derive(Debug)]
pub struct Names<'s> {
    store: &'s Store,
    _lock: Lock,
}

impl Store {
    /// What a name points at. A name without a tag means `latest`.
    ///
    /// # Errors
    /// [`StoreError::UnknownName`] when nothing has that name.
    pub fn named(&self, reference: &Reference) -> Result<NamedImage, StoreError> {
        let reference = with_tag(reference)?;
        let path = self.root().join(FOLDER).join(file_name(&reference));
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| malformed(&reference, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::UnknownName(reference.familiar()))
            }
            Err(error) => Err(at("read", &path)(error)),
        }
    }

    /// Every name, in alphabetical order.
    pub fn names(&self) -> Result<Vec<NamedImage>, StoreError> {
        let folder = self.root().join(FOLDER);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(at("list", &folder))? {
            let path = entry.map_err(at("list", &folder))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match fs::read(&path) {
                Ok(bytes) => names.push(serde_json::from_slice::<NamedImage>(&bytes).map_err(|error| {
                    StoreError::Malformed { what: path.display().to_string(), reason: error.to_string() }
                })?),
                // Removed by another process since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at("read", &path)(error)),
            }
        }
        names.sort_by(|one, other| one.reference.cmp(&other.reference));
        Ok(names)
    }

    /// Waits for the right to change names.
    pub fn lock_names(&self) -> Result<Names<'_>, StoreError> {
        let path = self.root().join(FOLDER).join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(at("open", &path))?;
        let lock = Lock::wait(lock).map_err(at("lock", &path))?;
        Ok(Names { store: self, _lock: lock })
    }
}

impl Names<'_> {
    /// Points a name at an index or manifest that is in the store.
    pub fn set(&self, reference: &Reference, descriptor: &Descriptor) -> Result<(), StoreError> {
        let reference = with_tag(reference)?;
        let named = NamedImage { descriptor: descriptor.clone(), updated: Timestamp::now(), reference };
        let bytes = canonical(&named, "a name")?;
        self.store.replace(FOLDER, &file_name(&named.reference), &bytes)?;
        self.write_layout_index()
    }

    /// Removes a name; what it pointed at stays.
    ///
    /// # Errors
    /// [`StoreError::UnknownName`] when nothing has that name.
    pub fn remove(&self, reference: &Reference) -> Result<(), StoreError> {
        let reference = with_tag(reference)?;
        let path = self.store.root().join(FOLDER).join(file_name(&reference));
        match fs::remove_file(&path) {
            Ok(()) => self.write_layout_index(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::UnknownName(reference.familiar()))
            }
            Err(error) => Err(at("remove", &path)(error)),
        }
    }

    fn write_layout_index(&self) -> Result<(), StoreError> {
        let names = self.store.names()?;
        let entries: Vec<_> = names.iter().map(|named| (&named.descriptor, Some(&named.reference))).collect();
        self.store.replace("", "index.json", &layout::index_json(&entries)?)
    }
}

/// A name without a tag means `latest`; a digest beside it says nothing about which name is meant.
fn with_tag(reference: &Reference) -> Result<Reference, StoreError> {
    let tagged = reference.with_tag(reference.tag_or_latest());
    tagged.map_err(|error| StoreError::Malformed { what: "the name".into(), reason: error.to_string() })
}

/// A name may be longer than a file name, so the file is named by the digest of the name.
fn file_name(reference: &Reference) -> String {
    format!("{}.json", digest_of(reference.to_string().as_bytes()).hex())
}

fn malformed(reference: &Reference, error: &serde_json::Error) -> StoreError {
    StoreError::Malformed { what: format!("the name {reference} in the store"), reason: error.to_string() }
}

/// Annotations by which readers of an OCI layout find a name.
///
/// Source: OCI image specification, `annotations.md`; containerd's importer.
pub(super) fn name_annotations(reference: &Reference) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("org.opencontainers.image.ref.name".into(), reference.tag_or_latest().to_owned()),
        ("io.containerd.image.name".into(), reference.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(store: &Store, text: &str) -> Descriptor {
        let digest = store.put(text.as_bytes()).expect("stored");
        Descriptor { media_type: "m".into(), digest, size: text.len() as u64, annotations: BTreeMap::new() }
    }

    #[test]
    fn a_name_is_set_moved_listed_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let (one, two) = (descriptor(&store, "1"), descriptor(&store, "2"));
        let name: Reference = "localhost:5000/team/app".parse().expect("a name");
        assert!(
            matches!(store.named(&name), Err(StoreError::UnknownName(name)) if name == "localhost:5000/team/app:latest")
        );
        let names = store.lock_names().expect("lock");
        names.set(&name, &one).expect("set");
        names.set(&name.with_tag("latest").expect("tag"), &two).expect("moved");
        names.set(&name.with_tag("1").expect("tag"), &one).expect("set");
        assert_eq!(store.named(&name).expect("named").descriptor, two);
        let listed: Vec<_> =
            store.names().expect("names").iter().map(|named| named.reference.to_string()).collect();
        assert_eq!(listed, ["localhost:5000/team/app:1", "localhost:5000/team/app:latest"]);
        names.remove(&name).expect("removed");
        assert!(matches!(names.remove(&name), Err(StoreError::UnknownName(_))));
        let layout = fs::read_to_string(store.root().join("index.json")).expect("index.json");
        assert_eq!(layout.matches(one.digest.as_str()).count(), 1, "{layout}");
    }

    #[test]
    fn concurrent_changes_lose_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::thread::scope(|scope| {
            for thread in 0..6 {
                scope.spawn(move || {
                    let store = Store::open(root).expect("a store");
                    for round in 0..10 {
                        let image = descriptor(&store, &format!("{thread} {round}"));
                        let name: Reference = format!("app{thread}:{round}").parse().expect("a name");
                        store.lock_names().expect("lock").set(&name, &image).expect("set");
                    }
                });
            }
        });
        let store = Store::open(root).expect("a store");
        assert_eq!(store.names().expect("names").len(), 60);
        let layout = fs::read_to_string(root.join("index.json")).expect("index.json");
        assert_eq!(layout.matches("io.containerd.image.name").count(), 60);
    }
}

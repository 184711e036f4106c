//! Adding to an OCI image layout that others may read and write at the same time.
//!
//! Blobs come first, each under a temporary name until it is whole, and `index.json` is replaced last: who reads the
//! layout finds everything that an entry points at, always. Writers take turns at the index.

use std::{
    fs::{self, File},
    io::{self, Read, Write as _},
    path::Path,
    thread,
    time::Duration,
};

use polyarch_actors::Descriptor;

use super::{
    format::make_readable,
    index::{Index, IndexEntry, canonical},
    layout::{LayoutError, closure},
    layout_read::REF_NAME,
    store::Store,
};
use crate::{held::Lock, whole_file::put_in_place};

/// The lock of the index, which BuildKit's local caches have too.
///
/// Source: BuildKit, `client/ociindex/ociindex.go`.
const LOCK: &str = "index.json.lock";
/// How often it is tried to get it.
const PAUSE: Duration = Duration::from_millis(10);
/// How much is copied at once, in bytes.
const PIECE: usize = 1 << 20;

/// Puts a manifest of the store, with what it points at, under the name `tag` into the layout `folder`, which is made
/// where there is none. Blobs that are there are left as they are, those that no entry needs any more included. When
/// `cancelled` says so, it ends with [`io::ErrorKind::Interrupted`], and the entry is what it was.
pub(crate) fn add_to_layout(
    store: &Store,
    root: &Descriptor,
    folder: &Path,
    tag: &str,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), LayoutError> {
    check_layout(folder)?;
    let failed = |source| LayoutError::Io { path: folder.to_owned(), source };
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(failed)?;
    for digest in closure(store, root)? {
        let target = blobs.join(digest.hex());
        let there = fs::metadata(&target).map(|found| found.len()).ok();
        let there_or_nowhere = match store.size(&digest) {
            Ok(size) => there == Some(size),
            Err(error) => there.is_some() || Err(error)?,
        };
        if there_or_nowhere {
            continue;
        }
        let mut source = store.open_blob(&digest)?;
        place(&blobs, digest.hex(), cancelled, |draft| copy(&mut source, draft, cancelled))?;
    }
    let _turn = lock(&folder.join(LOCK), cancelled)?;
    if !folder.join("oci-layout").is_file() {
        place(folder, "oci-layout", cancelled, |draft| {
            draft.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#)
        })?;
    }
    let mut index = read_index(folder)?;
    index
        .manifests
        .retain(|entry| entry.descriptor.annotations.get(REF_NAME).map(String::as_str) != Some(tag));
    let mut entry = root.clone();
    entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    index.manifests.push(IndexEntry::without_platform(entry));
    let bytes = canonical(&index, "index.json")?;
    place(folder, "index.json", cancelled, |draft| draft.write_all(&bytes))
}

/// Makes sure that a folder is a layout, or can become one.
pub(crate) fn check_layout(folder: &Path) -> Result<(), LayoutError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if folder.join("index.json").is_file() {
                return read_index(folder).map(drop);
            }
            // Another writer may be making it right now.
            let ours = ["blobs", "oci-layout", LOCK];
            let foreign = entries.any(|entry| {
                let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
                !name.to_str().is_some_and(|name| ours.contains(&name) || name.starts_with(".polyarch-"))
            });
            if foreign { Err(LayoutError::Occupied { path: folder.to_owned() }) } else { Ok(()) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(LayoutError::Io { path: folder.to_owned(), source }),
    }
}

/// Whether a layout has a blob of that length.
pub(crate) fn layout_has_blob(folder: &Path, blob: &Descriptor) -> bool {
    let path = folder.join("blobs/sha256").join(blob.digest.hex());
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == blob.size)
}

fn read_index(folder: &Path) -> Result<Index, LayoutError> {
    let path = folder.join("index.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| LayoutError::NoLayout { path: folder.to_owned(), reason: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
        Err(source) => Err(LayoutError::Io { path, source }),
    }
}

/// Makes a file that has its name only when it is whole.
fn place(
    folder: &Path,
    name: &str,
    cancelled: &dyn Fn() -> bool,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), LayoutError> {
    let path = folder.join(name);
    let failed = |source| LayoutError::Io { path: path.clone(), source };
    let mut draft = tempfile::Builder::new().prefix(".polyarch-").tempfile_in(folder).map_err(failed)?;
    write(draft.as_file_mut()).map_err(failed)?;
    make_readable(draft.as_file()).map_err(failed)?;
    draft.as_file().sync_all().map_err(failed)?;
    if cancelled() {
        return Err(failed(io::ErrorKind::Interrupted.into()));
    }
    put_in_place(draft, &path).map_err(failed)?;
    Ok(())
}

fn copy(source: &mut File, draft: &mut File, cancelled: &dyn Fn() -> bool) -> io::Result<()> {
    while !cancelled() {
        let piece = io::copy(&mut Read::take(&mut *source, PIECE as u64), draft)?;
        if piece == 0 {
            return Ok(());
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

/// Waits for the lock, which goes with this process.
fn lock(path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Lock, LayoutError> {
    let failed = |source| LayoutError::Io { path: path.to_owned(), source };
    loop {
        let lock = File::options().create(true).truncate(false).write(true).open(path);
        match lock.and_then(Lock::attempt).map_err(failed)? {
            Some(lock) => return Ok(lock),
            None if cancelled() => return Err(failed(io::ErrorKind::Interrupted.into())),
            None => thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::BTreeMap};

    use super::*;
    use crate::oci::{media_type, read_layout};

    fn image(store: &Store, seed: &str) -> Descriptor {
        let config = store.put(b"{}").expect("stored");
        let layer = store.put(seed.as_bytes()).expect("stored");
        let manifest = format!(
            "{{\"schemaVersion\":2,\"config\":{{\"digest\":\"{config}\"}},\"layers\":[{{\"digest\":\"{layer}\"}}]}}"
        );
        Descriptor {
            media_type: media_type::MANIFEST.into(),
            digest: store.put(manifest.as_bytes()).expect("stored"),
            size: manifest.len() as u64,
            annotations: BTreeMap::new(),
        }
    }

    fn open(folder: &Path) -> Store {
        Store::open(folder.join("store")).expect("a store")
    }

    #[test]
    fn an_entry_is_replaced_and_the_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, layout) = (open(folder.path()), folder.path().join("layout"));
        let [one, two] = ["one", "two"].map(|seed| image(&store, seed));
        for (root, tag) in [(&one, "latest"), (&one, "old"), (&two, "latest"), (&two, "latest")] {
            add_to_layout(&store, root, &layout, tag, &|| false).expect("added");
        }
        let other = Store::open(folder.path().join("other")).expect("a store");
        assert_eq!(read_layout(&other, &layout, None, None).expect("read"), two);
        assert_eq!(read_layout(&other, &layout, Some("old"), None).expect("read"), one);
        assert_eq!(read_index(&layout).expect("read").manifests.len(), 2);
    }

    #[test]
    fn many_writers_at_once_lose_no_entry_and_no_reader_sees_half() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, layout) = (open(folder.path()), folder.path().join("layout"));
        let roots: Vec<_> = (0..6).map(|number| image(&store, &format!("seed {number}"))).collect();
        add_to_layout(&store, &roots[0], &layout, "shared", &|| false).expect("added");
        thread::scope(|scope| {
            let writers: Vec<_> = roots
                .iter()
                .enumerate()
                .map(|(number, root)| {
                    let (store, layout) = (&store, &layout);
                    scope.spawn(move || {
                        add_to_layout(store, root, layout, &number.to_string(), &|| false).expect("added");
                        add_to_layout(store, root, layout, "shared", &|| false).expect("added");
                    })
                })
                .collect();
            let mut round = 0;
            while writers.iter().any(|writer| !writer.is_finished()) {
                round += 1;
                let reader = Store::open(folder.path().join(format!("reader{round}"))).expect("a store");
                read_layout(&reader, &layout, Some("shared"), None).expect("whole");
            }
        });
        assert_eq!(read_index(&layout).expect("read").manifests.len(), 7);
    }

    #[test]
    fn a_writer_that_is_cancelled_at_any_point_leaves_the_entry_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, layout) = (open(folder.path()), folder.path().join("layout"));
        let [old, new] = ["old", "new"].map(|seed| image(&store, seed));
        add_to_layout(&store, &old, &layout, "latest", &|| false).expect("added");
        let before = fs::read(layout.join("index.json")).expect("read");
        for last in 0.. {
            let looked = Cell::new(0);
            let cancelled = || looked.replace(looked.get() + 1) >= last;
            if add_to_layout(&store, &new, &layout, "latest", &cancelled).is_ok() {
                assert!(last > 3, "nobody asked whether it was cancelled");
                break;
            }
            assert_eq!(fs::read(layout.join("index.json")).expect("read"), before);
            let drafts = |folder: &Path| {
                let entries = fs::read_dir(folder).expect("listed").flatten();
                entries.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count()
            };
            assert_eq!(drafts(&layout) + drafts(&layout.join("blobs/sha256")), 0);
        }
        assert_eq!(read_index(&layout).expect("read").manifests[0].descriptor.digest, new.digest);
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).expect("made");
        fs::write(taken.join("thesis.tex"), "x").expect("written");
        let error = add_to_layout(&store, &image(&store, "x"), &taken, "latest", &|| false);
        assert!(matches!(error, Err(LayoutError::Occupied { .. })), "{error:?}");
        fs::rename(taken.join("thesis.tex"), taken.join("index.json")).expect("renamed");
        let error = add_to_layout(&store, &image(&store, "x"), &taken, "latest", &|| false);
        assert!(matches!(error, Err(LayoutError::NoLayout { .. })), "{error:?}");
        assert_eq!(fs::read_dir(&taken).expect("listed").count(), 1);
    }
}

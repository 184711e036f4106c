//! The content-addressed store on disk, shared by every backend and every process.
//!
//! The directory is a valid OCI image layout. A blob is written under a temporary name, synced and renamed,
//! so a reader never sees half of one and no lock is needed. Names are small files that are renamed into
//! place. Temporary files stand in a folder per process that is locked while the process lives; whoever
//! opens the store next removes the folders that nobody locks.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use polyarch_actors::{Digest, queue::Tenant};
use sha2::{Digest as _, Sha256};

use super::{
    error::{StoreError, at},
    format::{check_format, make_readable, write_once},
    lease::Pins,
    room::check_room,
    scopes::Scopes,
    scratch::Scratch,
    writeback::Writeback,
};
use crate::whole_file::{put_in_place, sync_folder};

/// The largest manifest, index or config that is read into memory, in bytes.
///
/// Registries must accept manifests of 4 MiB and mostly take no more (distribution specification,
/// "Pushing Manifests").
pub const LARGEST_DOCUMENT: u64 = 8 << 20;

/// The most layers of one image that are read: more than any overlay mounts.
pub(crate) const MOST_LAYERS: usize = 512;

/// A handle on the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    scratch: Scratch,
    pins: Pins,
    scopes: Scopes,
}

impl Store {
    /// Opens the store in `root`, an absolute directory, and makes it if it is not there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(at("make", &root))?;
        let root = root.canonicalize().map_err(at("find", &root))?;
        check_format(&root)?;
        for folder in ["blobs/sha256", "names", "tmp"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(at("make", &folder))?;
        }
        write_once(&root, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let scratch = Scratch::open(&root.join("tmp"))?;
        let pins = Pins::new(&root, &scratch.folder);
        Ok(Self { inner: Arc::new(Inner { root, scratch, pins, scopes: Scopes::default() }) })
    }

    /// The store of a scope, in a folder of this one, with which it shares nothing. It blocks when it is asked for first.
    ///
    /// # Errors
    /// What [`Store::open`] fails with.
    pub fn scope(&self, name: &Tenant) -> Result<Self, StoreError> {
        self.inner.scopes.of(&self.inner.root, name)
    }

    /// The store in `root`, as another process has opened it, for a helper of that process. Temporary files go to
    /// `scratch`, a folder on the same device that the caller removes. What is used is kept by the lease of that
    /// process, whose [`Store::lease_list`] is `list`.
    #[cfg(target_os = "linux")]
    pub(crate) fn opened(root: PathBuf, scratch: PathBuf, list: Option<PathBuf>) -> Result<Self, StoreError> {
        let pins = Pins::of_helper(&root, list)?;
        let scratch = Scratch { folder: scratch, lock: None };
        Ok(Self { inner: Arc::new(Inner { root, scratch, pins, scopes: Scopes::default() }) })
    }

    /// What a helper of this process notes in which blobs it uses; absent without a lease.
    #[cfg(target_os = "linux")]
    pub(crate) fn lease_list(&self) -> Option<PathBuf> {
        self.inner.pins.list()
    }

    pub(super) fn pins(&self) -> &Pins {
        &self.inner.pins
    }

    /// Keeps a blob while this process has a lease, whether it is there already or not.
    pub(crate) fn hold(&self, digest: &Digest) {
        self.inner.pins.hold(digest);
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// A new empty folder on the store's device, which is removed when dropped, or by the next process
    /// if this one is killed.
    pub fn scratch_dir(&self, prefix: &str) -> Result<tempfile::TempDir, StoreError> {
        let folder = &self.inner.scratch.folder;
        tempfile::Builder::new().prefix(prefix).tempdir_in(folder).map_err(at("make a folder in", folder))
    }

    /// Whether a path is in a folder of [`Store::scratch_dir`], of this or another process.
    pub fn is_scratch(&self, path: &Path) -> bool {
        path.starts_with(self.inner.root.join("tmp"))
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.inner.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether a blob is there.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.hold(digest);
        self.blob_path(digest).is_file()
    }

    /// The length of a blob in bytes.
    pub fn size(&self, digest: &Digest) -> Result<u64, StoreError> {
        self.hold(digest);
        let path = self.blob_path(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(digest.clone())),
            Err(error) => Err(at("look at", &path)(error)),
        }
    }

    /// Opens a blob for reading.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        self.hold(digest);
        let path = self.blob_path(digest);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(digest.clone())),
            Err(error) => Err(at("open", &path)(error)),
        }
    }

    /// Reads a manifest, index or config and checks its digest.
    pub fn read_document(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let size = self.size(digest)?;
        if size > LARGEST_DOCUMENT {
            return Err(StoreError::TooLarge { digest: digest.clone(), size });
        }
        let path = self.blob_path(digest);
        let mut bytes = Vec::new();
        self.open_blob(digest)?.read_to_end(&mut bytes).map_err(at("read", &path))?;
        let found = digest_of(&bytes);
        if found != *digest {
            return Err(StoreError::Corrupt { path, expected: digest.clone(), found });
        }
        Ok(bytes)
    }

    /// Stores some bytes.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = digest_of(bytes);
        if !self.contains(&digest) {
            let mut writer = self.writer()?;
            writer.write_all(bytes).map_err(at("write in", &self.inner.scratch.folder))?;
            writer.commit(Some(&digest))?;
        }
        Ok(digest)
    }

    /// A blob that is written piece by piece.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        let folder = &self.inner.scratch.folder;
        let file = tempfile::NamedTempFile::new_in(folder).map_err(at("make a file in", folder))?;
        let (hash, writeback) = (Sha256::new(), Writeback::default());
        Ok(BlobWriter { store: self.clone(), file, hash, size: 0, writeback })
    }

    /// A blob of a known size in bytes that is written piece by piece; an error where it cannot fit.
    pub(crate) fn writer_of(&self, size: u64) -> Result<BlobWriter, StoreError> {
        check_room(&self.inner.scratch.folder, size)?;
        self.writer()
    }

    /// Takes a finished file into the store by a hard link (by a copy across devices), and checks that it
    /// has the digest. Does nothing but look when the blob is there. Returns its length in bytes.
    ///
    /// The caller must not write to the file afterwards.
    pub fn adopt(&self, path: &Path, digest: &Digest) -> Result<u64, StoreError> {
        if self.contains(digest) {
            return self.size(digest);
        }
        // Windows makes sure of no file that its caller may not write.
        let opened = File::options().read(true).write(cfg!(windows)).open(path);
        let mut file = opened.map_err(at("open", path))?;
        let (found, size) = hash_all(&mut file).map_err(at("read", path))?;
        if found != *digest {
            return Err(StoreError::Corrupt { path: path.to_owned(), expected: digest.clone(), found });
        }
        file.sync_all().map_err(at("sync", path))?;
        let target = self.blob_path(digest);
        match fs::hard_link(path, &target) {
            Ok(()) => self.sync_blob_folder()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => {
                let mut writer = self.writer()?;
                let mut source = File::open(path).map_err(at("open", path))?;
                io::copy(&mut source, &mut writer).map_err(at("copy", path))?;
                writer.commit(Some(digest))?;
            }
        }
        Ok(size)
    }

    /// Replaces a small file of the store, below the folder `folder`, as one step that nobody sees half done.
    pub(crate) fn replace(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.inner.root.join(folder).join(name);
        let scratch = &self.inner.scratch.folder;
        let mut file = tempfile::NamedTempFile::new_in(scratch).map_err(at("make a file in", scratch))?;
        file.write_all(bytes).map_err(at("write", &path))?;
        file.as_file().sync_all().map_err(at("sync", &path))?;
        put_in_place(file, &path).map_err(at("replace", &path))
    }

    fn sync_blob_folder(&self) -> Result<(), StoreError> {
        let folder = self.inner.root.join("blobs/sha256");
        sync_folder(&folder).map_err(at("sync", &folder))
    }
}

/// A blob that is being written. Dropping it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    file: tempfile::NamedTempFile,
    hash: Sha256,
    size: u64,
    writeback: Writeback,
}

impl BlobWriter {
    /// Makes the blob visible. With `expected`, only if that is its digest. Returns the digest and the length
    /// in bytes.
    pub fn commit(self, expected: Option<&Digest>) -> Result<(Digest, u64), StoreError> {
        let digest = Digest::from_sha256(&self.hash.finalize().into());
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            let path = self.file.path().to_owned();
            return Err(StoreError::Corrupt { path, expected: expected.clone(), found: digest });
        }
        self.store.hold(&digest);
        let target = self.store.blob_path(&digest);
        self.file.as_file().sync_all().map_err(at("sync", &target))?;
        make_readable(self.file.as_file()).map_err(at("share", &target))?;
        put_in_place(self.file, &target).map_err(at("write", &target))?;
        self.store.sync_blob_folder()?;
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        self.writeback.written(self.file.as_file(), self.size);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The SHA-256 digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

/// The digest of everything that `source` has left, and how many bytes that was.
fn hash_all(source: &mut impl Read) -> io::Result<(Digest, u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok((Digest::from_sha256(&hash.finalize().into()), size)),
            read => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        (folder, store)
    }

    #[test]
    fn a_blob_reads_back_and_is_stored_once() {
        let (_folder, store) = store();
        let digest = store.put(b"hello").expect("stored");
        assert_eq!(store.put(b"hello").expect("stored"), digest);
        assert_eq!(store.read_document(&digest).expect("read"), b"hello");
        assert_eq!(store.size(&digest).expect("size"), 5);
        let other = digest_of(b"other");
        assert!(matches!(store.read_document(&other), Err(StoreError::Missing(missing)) if missing == other));
    }

    #[test]
    fn content_with_another_digest_never_enters() {
        let (folder, store) = store();
        let path = folder.path().join("file");
        fs::write(&path, b"content").expect("written");
        let wrong = digest_of(b"something else");
        assert!(matches!(store.adopt(&path, &wrong), Err(StoreError::Corrupt { .. })));
        assert!(!store.contains(&wrong));
        assert_eq!(store.adopt(&path, &digest_of(b"content")).expect("adopted"), 7);
        let mut writer = store.writer().expect("writer");
        writer.write_all(b"x").expect("written");
        assert!(matches!(writer.commit(Some(&wrong)), Err(StoreError::Corrupt { .. })));
        assert!(!store.contains(&digest_of(b"x")));
    }

    #[test]
    fn a_damaged_blob_is_noticed() {
        let (_folder, store) = store();
        let digest = store.put(b"hello").expect("stored");
        fs::write(store.blob_path(&digest), b"hullo").expect("damaged");
        assert!(matches!(store.read_document(&digest), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_store_of_a_newer_polyarch_is_refused() {
        let (folder, store) = store();
        fs::write(store.root().join("polyarch.json"), "{\"format\":2}").expect("written");
        let error = Store::open(folder.path().join("store")).expect_err("newer").to_string();
        assert!(error.contains("has format 2, and this polyarch reads format 1"), "{error}");
    }

    #[test]
    fn a_directory_with_other_things_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("thesis.tex"), "x").expect("written");
        let error = Store::open(folder.path()).expect_err("no store").to_string();
        assert!(error.contains("is no polyarch store: it holds thesis.tex"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }

    #[test]
    fn temporary_files_of_a_dead_process_are_swept_and_of_a_living_one_kept() {
        let (folder, first) = store();
        let kept = first.scratch_dir("kept").expect("scratch");
        // A folder that nobody locks is what a killed process leaves.
        let dead = first.root().join("tmp/p-dead");
        fs::create_dir(&dead).expect("made");
        fs::write(dead.join("lock"), "").expect("written");
        fs::write(dead.join("half-a-blob"), "x").expect("written");
        let second = Store::open(folder.path().join("store")).expect("second");
        assert!(!dead.exists());
        assert!(kept.path().exists());
        drop((kept, first, second));
        assert_eq!(fs::read_dir(folder.path().join("store/tmp")).expect("list").count(), 0);
    }

    #[test]
    #[cfg(unix)]
    fn temporary_files_that_something_still_writes_are_swept_when_it_ended() {
        use rustix::fs::{Mode, OFlags, open, openat};
        let (folder, first) = store();
        let tmp = first.root().join("tmp");
        let dead = tmp.join("p-dead");
        fs::create_dir_all(dead.join("work")).expect("made");
        fs::write(dead.join("lock"), "").expect("written");
        // As a process that dies does, it does not care what its folder is called.
        let work = open(dead.join("work"), OFlags::DIRECTORY, Mode::empty()).expect("open");
        let write = |name: u32| openat(&work, name.to_string(), OFlags::CREATE, Mode::RUSR).is_ok();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (0..2000).take_while(|name| write(*name)).count());
            while !writer.is_finished() {
                Store::open(folder.path().join("store")).expect("opens");
            }
        });
        drop(first);
        drop(Store::open(folder.path().join("store")).expect("opens"));
        assert_eq!(fs::read_dir(tmp).expect("list").count(), 0);
    }

    #[test]
    fn many_threads_may_open_and_write_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("store");
        std::thread::scope(|scope| {
            for thread in 0..8_u32 {
                let root = &root;
                scope.spawn(move || {
                    for round in 0..20_u32 {
                        let store = Store::open(root).expect("opens");
                        let text = format!("{} {round}", thread / 2);
                        let digest = store.put(text.as_bytes()).expect("stored");
                        assert_eq!(store.read_document(&digest).expect("read"), text.as_bytes());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(root.join("blobs/sha256")).expect("list").count(), 80);
    }
}

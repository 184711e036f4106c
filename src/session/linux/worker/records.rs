//! Writes changes as a layer.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, minor};

use super::{
    changes::{Change, Trees, at},
    compare::xattrs,
};
use crate::{
    oci::{
        Store,
        layer::{EntryKind, Layer, LayerEntry, LayerError, LayerOptions, LayerWriter, Mtime, Policy},
    },
    session::outcome::{LayerRecord, RecordKind},
};

/// Why changes cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("cannot look at what the step left: {0}")]
    Look(#[from] io::Error),
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// Writes the difference of two trees as a layer, and says what is in it; `None` where there is no difference.
pub(super) fn write(
    store: &Store,
    trees: &Trees<'_>,
    latest: Option<i64>,
) -> Result<Option<(Layer, Vec<LayerRecord>)>, RecordError> {
    let mut recorder = Recorder {
        store,
        root: trees.now.to_owned(),
        latest,
        writer: None,
        records: Vec::new(),
        directories: HashSet::new(),
        files: HashMap::new(),
    };
    trees.compare(&mut |change| match change {
        Change::Put(path, metadata) => recorder.put(path, metadata),
        Change::Delete(path) => recorder.delete(path),
    })?;
    let Some(writer) = recorder.writer else { return Ok(None) };
    Ok(Some((writer.finish()?, recorder.records)))
}

struct Recorder<'s> {
    store: &'s Store,
    root: PathBuf,
    latest: Option<i64>,
    /// Made for the first entry: most steps that change nothing are short.
    writer: Option<LayerWriter>,
    records: Vec<LayerRecord>,
    /// The directories that the layer has.
    directories: HashSet<Vec<u8>>,
    /// The files with several names by their numbers, and the name that came first.
    files: HashMap<(u64, u64), Vec<u8>>,
}

impl Recorder<'_> {
    fn put(&mut self, path: &[u8], metadata: &Metadata) -> Result<(), RecordError> {
        if metadata.is_dir() && !self.directories.insert(path.to_vec()) {
            return Ok(());
        }
        let here = at(&self.root, path);
        let kind = metadata.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        self.parents(path)?;
        let target = if kind.is_symlink() {
            fs::read_link(&here)?.into_os_string().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let (major, minor) = (number(major(metadata.rdev())), number(minor(metadata.rdev())));
        if kind.is_file() && metadata.nlink() > 1 {
            let file = (metadata.dev(), metadata.ino());
            if let Some(first) = self.files.get(&file).cloned() {
                let link = EntryKind::HardLink { target: &first };
                return self.append(path, metadata, link, RecordKind::HardLink(first.clone()), io::empty());
            }
            self.files.insert(file, path.to_vec());
        }
        if kind.is_file() {
            return self.file(path, &here, metadata);
        }
        let (entry, record) = if kind.is_dir() {
            (EntryKind::Directory, RecordKind::Directory)
        } else if kind.is_symlink() {
            (EntryKind::Symlink { target: &target }, RecordKind::Symlink(target.clone()))
        } else if kind.is_char_device() {
            (EntryKind::CharDevice { major, minor }, RecordKind::CharDevice(major, minor))
        } else if kind.is_block_device() {
            (EntryKind::BlockDevice { major, minor }, RecordKind::BlockDevice(major, minor))
        } else {
            (EntryKind::Fifo, RecordKind::Fifo)
        };
        self.append(path, metadata, entry, record, io::empty())
    }

    fn file(&mut self, path: &[u8], here: &Path, metadata: &Metadata) -> Result<(), RecordError> {
        let size = metadata.size();
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(here)?;
        let mut content = Hashed { file, hash: blake3::Hasher::new() };
        let record = RecordKind::File { size, blake3: [0; 32], offset: 0 };
        self.append(path, metadata, EntryKind::File { size }, record, &mut content)?;
        let end = self.writer()?.written();
        if let Some(LayerRecord { kind: RecordKind::File { blake3, offset, .. }, .. }) =
            self.records.last_mut()
        {
            *blake3 = content.hash.finalize().into();
            *offset = end - size.next_multiple_of(512);
        }
        Ok(())
    }

    fn delete(&mut self, path: &[u8]) -> Result<(), RecordError> {
        self.parents(path)?;
        self.writer()?.whiteout(path)?;
        self.records.push(LayerRecord {
            path: path.to_vec(),
            kind: RecordKind::Whiteout,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: Vec::new(),
        });
        Ok(())
    }

    /// A layer tells of the directories above everything that it tells of.
    fn parents(&mut self, path: &[u8]) -> Result<(), RecordError> {
        let Some(slash) = path.iter().rposition(|byte| *byte == b'/') else { return Ok(()) };
        let parent = &path[..slash];
        if self.directories.contains(parent) {
            return Ok(());
        }
        let metadata = fs::symlink_metadata(at(&self.root, parent))?;
        self.put(parent, &metadata)
    }

    fn append(
        &mut self,
        path: &[u8],
        metadata: &Metadata,
        kind: EntryKind<'_>,
        record: RecordKind,
        content: impl Read,
    ) -> Result<(), RecordError> {
        let linked = matches!(kind, EntryKind::HardLink { .. });
        let xattrs = if linked { Vec::new() } else { xattrs(&at(&self.root, path), metadata)? };
        let mode = if metadata.is_symlink() { 0o777 } else { metadata.mode() & 0o7777 };
        let mtime = self.latest.map_or(metadata.mtime(), |latest| metadata.mtime().min(latest));
        let entry = LayerEntry {
            name: path,
            kind,
            mode,
            uid: u64::from(metadata.uid()),
            gid: u64::from(metadata.gid()),
            mtime,
            xattrs: &xattrs,
        };
        self.writer()?.append(&entry, content)?;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        self.records.push(LayerRecord { path: path.to_vec(), kind: record, mode, uid, gid, mtime, xattrs });
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut LayerWriter, LayerError> {
        if self.writer.is_none() {
            let mtime = self.latest.map_or(Mtime::Own, Mtime::AtMost);
            let policy = Policy { mtime, ..Policy::default() };
            self.writer =
                Some(LayerWriter::new(self.store, LayerOptions { policy, ..LayerOptions::default() })?);
        }
        self.writer.as_mut().ok_or(LayerError::Broken)
    }
}

fn number(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

struct Hashed {
    file: File,
    hash: blake3::Hasher,
}

impl Read for &mut Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

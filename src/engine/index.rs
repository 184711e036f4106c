//! The index of a layer: what is in it and where, without its bytes.
//!
//! It is kept beside the store's blobs, by the digest of the uncompressed archive, so that a layer is read at most
//! once however many builds ask what is in it.

use std::{
    fs,
    io::{self, Read, Write as _},
    path::PathBuf,
};

use polyarch_actors::{Digest, ImageOs};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{error::EngineError, windows};
use crate::{
    archive::{Archive, Limits, Member, MemberKind, Sparse, decompress_within},
    context::Xattr,
    oci::{Store, layer::is_kept, touch},
    session::{LayerRecord, RecordKind},
    whole_file::put_in_place,
};

/// Where the indexes are, in the store.
const FOLDER: &str = "backends/sandbox/indexes";
/// The form of the files; others are made anew.
const FORMAT: u32 = 3;

/// One member of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexEntry {
    /// Its name in the archive, from the root of the image.
    pub(super) path: Vec<u8>,
    pub(super) kind: IndexKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// In seconds since 1970.
    pub(super) modified: i64,
    pub(super) xattrs: Vec<Xattr>,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum IndexKind {
    Directory,
    File {
        size: u64,
        /// The BLAKE3 of its bytes.
        digest: [u8; 32],
        /// Where they begin in the archive.
        offset: u64,
    },
    Symlink(Vec<u8>),
    Hardlink(Vec<u8>),
    Fifo,
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
}

/// What is in the layer `blob`, and the check that it has the digest that its image's config gives it.
pub(super) fn of_layer(
    store: &Store,
    blob: &Digest,
    diff_id: &Digest,
    os: ImageOs,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<Vec<IndexEntry>, EngineError> {
    if let Some(known) = load(store, diff_id, os) {
        return Ok(known);
    }
    let name = format!("layer {blob}");
    let malformed = |error| EngineError::malformed(&name, error);
    let source = decompress_within(store.open_blob(blob)?, limits).map_err(malformed)?;
    let mut hashing = Hashing { source, hash: Sha256::new() };
    let mut entries = read_of(os, &mut hashing, &name, |_| Ok(()), limits, cancel)?;
    // Behind the end there may be more, which counts for the digest.
    io::copy(&mut hashing, &mut io::sink()).map_err(malformed)?;
    let found = Digest::from_sha256(&hashing.hash.finalize().into());
    if found != *diff_id {
        let reason = format!("its content has digest {found}, and its image says {diff_id}");
        return Err(EngineError::Malformed { what: name, reason });
    }
    if os == ImageOs::Windows {
        entries = windows::below_files(entries);
    }
    save(store, diff_id, os, &entries)?;
    Ok(entries)
}

/// Reads a whole archive from `source`, whose members must pass `check`; `name` is for errors.
pub(super) fn read(
    source: impl Read,
    name: &str,
    check: impl Fn(&Member) -> Result<(), String>,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<Vec<IndexEntry>, EngineError> {
    read_of(ImageOs::Linux, source, name, check, limits, cancel)
}

/// The same with what members say for a system.
fn read_of(
    os: ImageOs,
    source: impl Read,
    name: &str,
    check: impl Fn(&Member) -> Result<(), String>,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<Vec<IndexEntry>, EngineError> {
    let malformed = |error| EngineError::malformed(name, error);
    let mut archive = Archive::within(source, limits);
    let mut entries = Vec::new();
    let mut buffer = vec![0; 128 << 10];
    while let Some(member) = archive.next_member().map_err(malformed)? {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        check(&member).map_err(|reason| EngineError::Malformed { what: name.to_owned(), reason })?;
        let digest = match member.kind {
            MemberKind::File => hash(&mut archive, &mut buffer, cancel).map_err(malformed)?,
            _ => [0; 32],
        };
        entries.push(entry(member, digest, os));
    }
    if cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(entries) }
}

/// The BLAKE3 of everything that `source` has left; of less when the build is cancelled.
pub(super) fn hash(
    source: &mut impl Read,
    buffer: &mut [u8],
    cancel: &CancellationToken,
) -> io::Result<[u8; 32]> {
    let mut hash = blake3::Hasher::new();
    while !cancel.is_cancelled() {
        match source.read(buffer) {
            Ok(0) => break,
            Ok(read) => _ = hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hash.finalize().into())
}

fn entry(member: Member, digest: [u8; 32], os: ImageOs) -> IndexEntry {
    let Member { path, kind, mode, uid, gid, modified, xattrs, windows, offset, size, .. } = member;
    let kind = match kind {
        MemberKind::File => IndexKind::File { size, digest, offset },
        MemberKind::Directory => IndexKind::Directory,
        MemberKind::Symlink(target) => IndexKind::Symlink(target),
        MemberKind::Hardlink(target) => IndexKind::Hardlink(target.as_bytes().to_vec()),
        MemberKind::Fifo => IndexKind::Fifo,
        MemberKind::CharDevice { major, minor } => IndexKind::CharDevice { major, minor },
        MemberKind::BlockDevice { major, minor } => IndexKind::BlockDevice { major, minor },
    };
    let xattrs = match os {
        ImageOs::Linux => xattrs.into_iter().filter(|(name, _)| is_kept(name)).collect(),
        ImageOs::Windows => windows,
    };
    IndexEntry { path: path.as_bytes().to_vec(), kind, mode, uid, gid, modified, xattrs }
}

/// What the session says of an entry.
pub(super) fn of_record(record: LayerRecord) -> IndexEntry {
    let LayerRecord { mut path, kind, mode, uid, gid, mtime, xattrs } = record;
    let kind = match kind {
        RecordKind::File { size, blake3, offset } => IndexKind::File { size, digest: blake3, offset },
        RecordKind::Directory => IndexKind::Directory,
        RecordKind::Symlink(target) => IndexKind::Symlink(target),
        RecordKind::HardLink(target) => IndexKind::Hardlink(target),
        RecordKind::Fifo => IndexKind::Fifo,
        RecordKind::CharDevice(major, minor) => IndexKind::CharDevice { major, minor },
        RecordKind::BlockDevice(major, minor) => IndexKind::BlockDevice { major, minor },
        RecordKind::Whiteout => {
            let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            path.splice(name..name, *b".wh.");
            IndexKind::File { size: 0, digest: blake3::hash(&[]).into(), offset: 0 }
        }
    };
    IndexEntry { path, kind, mode, uid, gid, modified: mtime, xattrs }
}

fn path(store: &Store, diff_id: &Digest, os: ImageOs) -> PathBuf {
    let hex = diff_id.hex();
    let name = match os {
        ImageOs::Linux => hex.to_owned(),
        ImageOs::Windows => format!("{hex}-windows"),
    };
    store.root().join(FOLDER).join(name)
}

fn load(store: &Store, diff_id: &Digest, os: ImageOs) -> Option<Vec<IndexEntry>> {
    let path = path(store, diff_id, os);
    let bytes = fs::read(&path).ok()?;
    let (format, entries) = postcard::from_bytes::<(u32, Vec<IndexEntry>)>(&bytes).ok()?;
    touch(&path);
    (format == FORMAT).then_some(entries)
}

/// Keeps the index of a layer.
pub(super) fn save(
    store: &Store,
    diff_id: &Digest,
    os: ImageOs,
    entries: &[IndexEntry],
) -> Result<(), EngineError> {
    let malformed = |error: postcard::Error| EngineError::Malformed {
        what: "the index of a layer".into(),
        reason: error.to_string(),
    };
    let bytes = postcard::to_allocvec(&(FORMAT, entries)).map_err(malformed)?;
    let path = path(store, diff_id, os);
    let folder = store.root().join(FOLDER);
    let io = || EngineError::io(format!("write {}", path.display()));
    fs::create_dir_all(&folder).map_err(io())?;
    // After a crash of the machine it may be half there, and then it cannot be read and is made anew.
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(io())?;
    file.write_all(&bytes).map_err(io())?;
    put_in_place(file, &path).map_err(io())?;
    Ok(())
}

/// Reads and hashes.
pub(super) struct Hashing<R> {
    pub(super) source: R,
    pub(super) hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// Reads, and writes what was read to a file.
pub(super) struct Tee<'f, R> {
    pub(super) source: R,
    pub(super) copy: Sparse<'f>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.copy.write_all(&buffer[..read])?;
        Ok(read)
    }
}

//! From what a step puts in place to a layer in the store.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
};

use polyarch_actors::{Descriptor, Digest, ImageOs};

use super::{
    digests::{ContextFile, Hash},
    error::EngineError,
    index::{self, IndexEntry, IndexKind},
    key::Key,
    records::RecordedLayer,
    reuse::Reuse,
    spool::{Bytes, Spools},
};
use crate::{
    context::{Context, Reader, Xattr},
    error::with_sources,
    oci::layer::{
        Compression, EntryKind, LayerEntry, LayerOptions, LayerWriter, Mtime, Policy, is_kept,
        windows::is_record,
    },
};

/// The size of a layer, in bytes, from which on its blocks are worth remembering.
const WORTH_KEEPING: u64 = 1 << 20;

/// One path of a new layer.
#[derive(Clone, Debug)]
pub(super) struct NewEntry {
    pub(super) kind: NewKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// In seconds since 1970.
    pub(super) modified: i64,
    pub(super) xattrs: Vec<Xattr>,
}

/// What it is.
#[derive(Clone, Debug)]
pub(super) enum NewKind {
    Directory,
    File { size: u64, content: Content },
    Symlink(Vec<u8>),
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// Where the bytes of a new file come from.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A build context.
    Context(Arc<ContextFile>),
    /// The Dockerfile.
    Inline(Vec<u8>),
    /// Another layer, or an archive.
    Stored(Bytes),
}

impl Content {
    /// The BLAKE3 of the bytes.
    fn digest(&self) -> Result<Hash, EngineError> {
        match self {
            Self::Context(file) => file.digest(),
            Self::Inline(bytes) => Ok(blake3::hash(bytes).into()),
            Self::Stored(bytes) => Ok(bytes.digest),
        }
    }

    /// A reader of the bytes.
    pub(super) fn open(&self, spools: &Spools) -> Result<Box<dyn io::Read + Send>, EngineError> {
        Ok(match self {
            Self::Context(file) => {
                Box::new(file.context.reader().open(&file.entry).map_err(|error| vanished(&error))?)
            }
            Self::Inline(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Self::Stored(bytes) => Box::new(bytes.open(spools)?),
        })
    }

    /// What files that are hard links to each other have in common.
    fn identity(&self) -> Option<(u64, u64)> {
        match self {
            Self::Context(file) => {
                let ContextFile { entry, .. } = &**file;
                (entry.links > 1).then_some((entry.stamp.device, entry.stamp.inode))
            }
            Self::Inline(_) => None,
            Self::Stored(bytes) => Some((Arc::as_ptr(&bytes.spool) as u64, bytes.offset)),
        }
    }
}

/// The entries of a new layer by their paths.
pub(super) type Entries = BTreeMap<Vec<u8>, NewEntry>;

/// What decides the bytes of a layer. Times do not count: a file that was only touched is the same file.
pub(super) fn key(entries: &Entries, os: ImageOs, latest: Option<i64>) -> Result<Digest, EngineError> {
    let key = key_of(&entries.iter().map(|(path, entry)| (path.as_slice(), entry)).collect(), latest)?;
    Ok(match os {
        ImageOs::Linux => key,
        ImageOs::Windows => Key::new("layer for Windows").field(key.as_str()).end(),
    })
}

/// The same of entries that belong to somebody else.
pub(super) fn key_of(
    entries: &BTreeMap<&[u8], &NewEntry>,
    latest: Option<i64>,
) -> Result<Digest, EngineError> {
    let mut key = Key::new("layer").option(latest.map(i64::to_le_bytes));
    let links = links(entries.iter().map(|(path, entry)| (*path, *entry)));
    for (path, entry) in entries {
        key.add(path);
        match &entry.kind {
            NewKind::Directory => key.add("directory"),
            NewKind::File { content, .. } => {
                key.add("file");
                key.add(content.digest()?);
            }
            NewKind::Symlink(target) => {
                key.add("symlink");
                key.add(target);
            }
            NewKind::Fifo => key.add("fifo"),
            NewKind::CharDevice { major, minor } => key.add(format!("char {major} {minor}")),
            NewKind::BlockDevice { major, minor } => key.add(format!("block {major} {minor}")),
        }
        key.add(format!("{} {} {}", entry.mode, entry.uid, entry.gid));
        key.add(links.get(path).copied().unwrap_or_default());
        for (name, value) in &entry.xattrs {
            key.add(name);
            key.add(value);
        }
    }
    Ok(key.end())
}

/// The files of contexts among these entries.
pub(super) fn files<'e>(
    entries: impl IntoIterator<Item = &'e NewEntry>,
) -> impl Iterator<Item = &'e Arc<ContextFile>> {
    entries.into_iter().filter_map(|entry| match &entry.kind {
        NewKind::File { content: Content::Context(file), .. } => Some(file),
        _ => None,
    })
}

/// Paths that are hard links to a path before them.
fn links<'e>(entries: impl Iterator<Item = (&'e [u8], &'e NewEntry)>) -> HashMap<&'e [u8], &'e [u8]> {
    let mut first: HashMap<(u64, u64), (&[u8], &NewEntry)> = HashMap::new();
    let mut links = HashMap::new();
    for (path, entry) in entries {
        let NewKind::File { content, .. } = &entry.kind else { continue };
        let Some(identity) = content.identity() else { continue };
        match first.get(&identity) {
            // What differs in more than its name cannot be the same file.
            Some((target, same)) if (same.mode, same.uid, same.gid) == (entry.mode, entry.uid, entry.gid) => {
                links.insert(path, *target);
            }
            Some(_) => {}
            None => _ = first.insert(identity, (path, entry)),
        }
    }
    links
}

/// Writes the entries, and the index of what they became.
pub(super) fn write(
    entries: &Entries,
    os: ImageOs,
    latest: Option<i64>,
    last: &Reuse,
    spools: &Spools,
) -> Result<RecordedLayer, EngineError> {
    let mtime = latest.map_or(Mtime::Own, Mtime::AtMost);
    let compression = Compression::default();
    let options = LayerOptions {
        os,
        compression,
        policy: Policy { mtime, ..Policy::default() },
        reuse: last.open(&spools.store, compression),
        cancel: spools.cancel.clone(),
        ..LayerOptions::default()
    };
    let mut writer = LayerWriter::new(&spools.store, options)?;
    let links = links(entries.iter().map(|(path, entry)| (path.as_slice(), entry)));
    let mut written = Vec::with_capacity(entries.len());
    let mut files = Files { reader: None, spools, os };
    for (path, entry) in entries {
        let link = links.get(path.as_slice()).copied();
        let mut entry = append(&mut writer, path, entry, link, &mut files)?;
        entry.modified = latest.map_or(entry.modified, |latest| entry.modified.min(latest));
        written.push(entry);
    }
    let layer = writer.finish()?;
    if layer.size > WORTH_KEEPING {
        last.keep(&layer, compression);
    }
    index::save(&spools.store, &layer.diff_id, os, &written)?;
    let blob = Descriptor {
        media_type: layer.media_type.to_owned(),
        digest: layer.digest,
        size: layer.size,
        annotations: BTreeMap::new(),
    };
    Ok(RecordedLayer { blob, diff_id: layer.diff_id })
}

/// Where the bytes of files are.
struct Files<'e> {
    /// That of the context that the last file was in: neighbours share a directory.
    reader: Option<(&'e Arc<Context>, Reader<'e>)>,
    spools: &'e Spools,
    /// What the layer is for.
    os: ImageOs,
}

impl<'e> Files<'e> {
    /// Of what a file says, that which means something to the system that the layer is for.
    fn kept(&self, xattrs: &[Xattr]) -> Vec<Xattr> {
        let means_something = |(name, _): &&Xattr| match self.os {
            ImageOs::Linux => is_kept(name),
            ImageOs::Windows => is_record(name),
        };
        xattrs.iter().filter(means_something).cloned().collect()
    }

    fn reader(&mut self, context: &'e Arc<Context>) -> &mut Reader<'e> {
        if self.reader.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, context)) {
            self.reader = None;
        }
        &mut self.reader.get_or_insert_with(|| (context, context.reader())).1
    }
}

fn append<'e>(
    writer: &mut LayerWriter,
    path: &[u8],
    entry: &'e NewEntry,
    link: Option<&[u8]>,
    files: &mut Files<'e>,
) -> Result<IndexEntry, EngineError> {
    let written = |kind, xattrs| LayerEntry {
        name: path,
        kind,
        mode: entry.mode,
        uid: entry.uid.into(),
        gid: entry.gid.into(),
        mtime: entry.modified,
        xattrs,
    };
    let indexed = |kind, xattrs: &[Xattr]| IndexEntry {
        path: path.to_vec(),
        kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        modified: entry.modified,
        xattrs: xattrs.to_vec(),
    };
    if let Some(target) = link {
        writer.append(&written(EntryKind::HardLink { target }, &[]), io::empty())?;
        return Ok(indexed(IndexKind::Hardlink(target.to_vec()), &[]));
    }
    let (kind, shown) = match &entry.kind {
        NewKind::Directory => (EntryKind::Directory, IndexKind::Directory),
        NewKind::Symlink(target) => (EntryKind::Symlink { target }, IndexKind::Symlink(target.clone())),
        NewKind::Fifo => (EntryKind::Fifo, IndexKind::Fifo),
        NewKind::CharDevice { major, minor } => {
            let (major, minor) = (*major, *minor);
            (EntryKind::CharDevice { major, minor }, IndexKind::CharDevice { major, minor })
        }
        NewKind::BlockDevice { major, minor } => {
            let (major, minor) = (*major, *minor);
            (EntryKind::BlockDevice { major, minor }, IndexKind::BlockDevice { major, minor })
        }
        NewKind::File { size, content } => {
            let kind = EntryKind::File { size: *size };
            let mut xattrs = files.kept(&entry.xattrs);
            let (offset, digest) = match content {
                Content::Inline(bytes) => {
                    (writer.append(&written(kind, &xattrs), bytes.as_slice())?, content.digest()?)
                }
                Content::Stored(bytes) => {
                    (writer.append(&written(kind, &xattrs), bytes.open(files.spools)?)?, content.digest()?)
                }
                Content::Context(found) => {
                    let reader = files.reader(&found.context);
                    let opened = reader.open(&found.entry).map_err(|error| vanished(&error))?;
                    xattrs = reader.xattrs(&found.entry, &opened).map_err(|error| vanished(&error))?;
                    xattrs.retain(|(name, _)| is_kept(name));
                    let mut hash = found.is_unread().then(blake3::Hasher::new);
                    let hashed = Hashed { source: &opened, hash: hash.as_mut() };
                    let offset = writer.append(&written(kind, &xattrs), hashed)?;
                    reader.check(&found.entry, &opened).map_err(|error| vanished(&error))?;
                    if let Some(hash) = hash {
                        found.learn(hash.finalize().into());
                    }
                    (offset, found.digest()?)
                }
            };
            let size = *size;
            return Ok(indexed(IndexKind::File { size, digest, offset }, &xattrs));
        }
    };
    let xattrs = files.kept(&entry.xattrs);
    writer.append(&written(kind, &xattrs), io::empty())?;
    Ok(indexed(shown, &xattrs))
}

/// Reads, and hashes if the hash is not known.
struct Hashed<'h, R> {
    source: R,
    hash: Option<&'h mut blake3::Hasher>,
}

impl<R: io::Read> io::Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..read]);
        }
        Ok(read)
    }
}

fn vanished(error: &dyn std::error::Error) -> EngineError {
    EngineError::Invalid(with_sources(error))
}

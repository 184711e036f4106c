//! Goes through an export.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Read as _},
};

use super::{
    super::{
        attributes::FileAttributes,
        backup::StreamKind,
        file_of,
        path::{DIRECTORY_STREAMS, LayerPath},
        target_of,
        tombstones::TOMBSTONES,
    },
    content::{Contents, Hashing},
    error::ExportError,
    facts::{Facts, Opened, odd},
    records::{modified, records},
    source::{ExportSource, SourceEntry},
};
use crate::{
    archive::{DEEPEST, Limits},
    oci::layer::{EntryKind, LayerEntry, LayerWriter},
    session::{LayerRecord, RecordKind},
};

/// What Windows keeps beside the files of the image.
pub(super) const SKIPPED: [&[u8]; 2] = [b"$Recycle.Bin", b"System Volume Information"];
/// The part of an export that has the form of streams in ordinary files, and the one that has not.
pub(super) const FILES: &str = "Files";
const HIVES: &str = "Hives";

/// How an export becomes a layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportOptions {
    /// The latest time that the layer says of anything, in seconds since 1970.
    pub latest_mtime: Option<i64>,
    /// How large the layer may be.
    pub limits: Limits,
}

/// Writes what `source` has to `writer`, which is one for Windows to which nothing was appended yet. Returns the
/// entries of the image's file system, as the archive has them, links last.
///
/// The same export gives the same layer: entries are sorted, and nothing of this machine is in it. Of the times of a
/// file, the layer keeps when it was modified, in seconds, and when it was made.
pub fn export(
    source: &mut dyn ExportSource,
    writer: &mut LayerWriter,
    options: ExportOptions,
) -> Result<Vec<LayerRecord>, ExportError> {
    let mut export = Export {
        source,
        writer,
        options,
        bytes: 0,
        seen: HashMap::new(),
        names: HashMap::new(),
        records: Vec::new(),
    };
    let (mut parts, mut deletions) = (Vec::new(), Vec::new());
    for (name, entry) in export.list(None)? {
        match (name.as_str(), entry.is_directory) {
            (FILES | HIVES, true) => parts.push(name),
            (TOMBSTONES, false) => deletions = export.tombstones()?,
            // What is said of the two parts themselves is not about the image.
            (name, false) if name.ends_with(DIRECTORY_STREAMS) => {}
            _ => return Err(ExportError::Unknown(name)),
        }
    }
    for part in parts {
        export.walk(LayerPath::parse(part.as_bytes())?)?;
    }
    export.delete(deletions)?;
    let is_link = |record: &LayerRecord| matches!(record.kind, RecordKind::HardLink(_));
    let (links, mut records): (Vec<_>, Vec<_>) = export.records.into_iter().partition(is_link);
    records.extend(links);
    Ok(records)
}

pub(super) struct Export<'s> {
    pub(super) source: &'s mut dyn ExportSource,
    pub(super) writer: &'s mut LayerWriter,
    options: ExportOptions,
    bytes: u64,
    /// The directories and other things below `Files`, by their folded paths.
    pub(super) seen: HashMap<Vec<u8>, bool>,
    /// The first name of each file that has several.
    names: HashMap<u128, LayerPath>,
    pub(super) records: Vec<LayerRecord>,
}

impl Export<'_> {
    /// What is in a directory, sorted.
    fn list(&mut self, directory: Option<&LayerPath>) -> Result<BTreeMap<String, SourceEntry>, ExportError> {
        let shown = || directory.map_or_else(|| "the folder".to_owned(), ToString::to_string);
        let entries = self.source.list(directory);
        let entries = entries.map_err(|source| ExportError::Read { path: shown(), source })?;
        let named = |mut entry: SourceEntry| match std::mem::take(&mut entry.name).into_string() {
            Ok(name) => Ok((name, entry)),
            Err(name) => Err(ExportError::Name(format!("{}\\{}", shown(), name.display()))),
        };
        entries.into_iter().map(named).collect()
    }

    fn walk(&mut self, part: LayerPath) -> Result<(), ExportError> {
        let is_files = part.as_str() == FILES;
        // What is to be done next is at the end.
        let mut left = Vec::new();
        self.push(part, is_files, &mut left)?;
        while let Some((path, entry)) = left.pop() {
            let is_link = self.take(&path, &entry, is_files)?;
            if is_files {
                self.seen.insert(path.folded(), entry.is_directory && !is_link);
            }
            if !entry.is_directory {
                continue;
            }
            if path.components().nth(DEEPEST).is_some() {
                return Err(odd(&path, "more directories above it than a layer may have"));
            }
            let before = left.len();
            self.push(path, is_files, &mut left)?;
            if let Some((below, _)) = left.get(before).filter(|_| is_link) {
                return Err(ExportError::BelowLink(below.clone()));
            }
        }
        Ok(())
    }

    /// Puts what is in a directory on the list, so that the first name is taken first.
    fn push(
        &mut self,
        directory: LayerPath,
        is_files: bool,
        left: &mut Vec<(LayerPath, SourceEntry)>,
    ) -> Result<(), ExportError> {
        let is_top = is_files && directory.parent().is_none();
        let entries = self.list(Some(&directory))?;
        for (name, entry) in entries.iter().rev() {
            let is_skipped =
                is_top && SKIPPED.iter().any(|skipped| skipped.eq_ignore_ascii_case(name.as_bytes()));
            if is_skipped || name.ends_with(DIRECTORY_STREAMS) {
                continue;
            }
            // The file that says what a directory has also has its times.
            let streams = is_files.then(|| entries.get(&format!("{name}{DIRECTORY_STREAMS}"))).flatten();
            let attributes = streams.filter(|_| entry.is_directory).unwrap_or(entry).attributes;
            left.push((directory.child(name)?, SourceEntry { attributes, ..entry.clone() }));
        }
        Ok(())
    }

    /// Appends one file, directory or link with all its streams. Returns whether it is a link.
    fn take(&mut self, path: &LayerPath, entry: &SourceEntry, is_files: bool) -> Result<bool, ExportError> {
        let has_names = is_files && !entry.is_directory && entry.links > 1;
        if let Some(first) = self.names.get(&entry.file_id).filter(|_| has_names).cloned() {
            let kind = EntryKind::HardLink { target: first.as_str().as_bytes() };
            self.append(path, kind, 0o644, modified(&entry.attributes, self.options.latest_mtime), &[])?;
            return Ok(false);
        }
        let (opened, mut attributes) = self.open(path, entry, is_files)?;
        let facts = Facts::read(path, opened)?;
        if !is_files {
            // Importing sets the others.
            (attributes.created, attributes.accessed) = (attributes.written, attributes.written);
        }
        self.bytes = self.bytes.saturating_add(facts.bytes());
        if self.bytes > self.options.limits.bytes {
            return Err(ExportError::TooLarge(path.clone()));
        }
        if attributes.is_directory() != entry.is_directory {
            return Err(odd(path, "attributes of a directory and is none, or the reverse"));
        }
        let mtime = modified(&attributes, self.options.latest_mtime);
        let records = records(&attributes, &facts, self.options.latest_mtime);
        let mut contents = Contents::none();
        if facts.bytes() > 0 {
            contents = Contents::new(self.open(path, entry, is_files)?.0);
        }
        if let Some(point) = &facts.reparse {
            let target = point.target();
            self.append(path, EntryKind::Symlink { target: target.as_bytes() }, 0o777, mtime, &records)?;
        } else if entry.is_directory {
            self.append(path, EntryKind::Directory, 0o755, mtime, &records)?;
        } else {
            self.file(path, &facts, &mut contents, mtime, &records)?;
            if has_names {
                self.names.insert(entry.file_id, path.clone());
            }
        }
        self.streams(path, &facts, contents, mtime)?;
        Ok(facts.reparse.is_some())
    }

    fn open(
        &mut self,
        path: &LayerPath,
        entry: &SourceEntry,
        is_files: bool,
    ) -> Result<(Opened, FileAttributes), ExportError> {
        let failed = |source| ExportError::Read { path: path.to_string(), source };
        if !is_files {
            return Ok((Opened::Backup(self.source.open_backup(path).map_err(failed)?), entry.attributes));
        }
        let at = if entry.is_directory { &path.with_suffix(DIRECTORY_STREAMS) } else { path };
        let mut file = self.source.open(at).map_err(failed)?;
        let mut attributes = [0; 4];
        file.read_exact(&mut attributes).map_err(failed)?;
        let attributes = u32::from_le_bytes(attributes);
        Ok((Opened::Plain(file), FileAttributes { attributes, ..entry.attributes }))
    }

    fn file(
        &mut self,
        path: &LayerPath,
        facts: &Facts,
        contents: &mut Contents,
        mtime: i64,
        records: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), ExportError> {
        let backup = |source| ExportError::Backup { path: path.clone(), source };
        let entry =
            entry(path.as_str().as_bytes(), EntryKind::File { size: facts.size }, 0o644, mtime, records);
        let (offset, hash) = if facts.size == 0 {
            (self.writer.append_exported(&entry, io::empty())?, blake3::Hasher::new())
        } else {
            contents.seek(StreamKind::Data).map_err(backup)?;
            if facts.has_blocks {
                let mut content = Hashing::new(contents.sparse());
                (self.writer.append_exported(&entry, &mut content)?, content.hash)
            } else {
                let mut content = Hashing::new(contents.plain());
                (self.writer.append_exported(&entry, &mut content)?, content.hash)
            }
        };
        let kind = RecordKind::File { size: facts.size, blake3: hash.finalize().into(), offset };
        self.record(&entry, kind);
        Ok(())
    }

    /// Appends the further streams of a file.
    fn streams(
        &mut self,
        path: &LayerPath,
        facts: &Facts,
        mut contents: Contents,
        mtime: i64,
    ) -> Result<(), ExportError> {
        let backup = |source| ExportError::Backup { path: path.clone(), source };
        for (stream, size) in &facts.streams {
            contents.seek(StreamKind::Alternate).map_err(backup)?;
            let name = format!("{}:{stream}", path.as_str());
            let entry = entry(name.as_bytes(), EntryKind::File { size: *size }, 0o644, mtime, &[]);
            self.writer.append_exported(&entry, contents.plain())?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        path: &LayerPath,
        kind: EntryKind<'_>,
        mode: u32,
        mtime: i64,
        records: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), ExportError> {
        let entry = entry(path.as_str().as_bytes(), kind, mode, mtime, records);
        self.writer.append_exported(&entry, io::empty())?;
        let kind = match kind {
            EntryKind::Symlink { target } => RecordKind::Symlink(target_of(target)),
            EntryKind::HardLink { target } => RecordKind::HardLink(file_of(target).unwrap_or_default()),
            _ => RecordKind::Directory,
        };
        self.record(&entry, kind);
        Ok(())
    }

    /// Remembers an entry of the image's file system, as the archive has it.
    fn record(&mut self, entry: &LayerEntry<'_>, kind: RecordKind) {
        let Some(path) = file_of(entry.name) else { return };
        let LayerEntry { mode, mtime, xattrs, .. } = self.writer.policy.apply(*entry);
        let xattrs = xattrs.to_vec();
        self.records.push(LayerRecord { path, kind, mode, uid: 0, gid: 0, mtime, xattrs });
    }
}

fn entry<'e>(
    name: &'e [u8],
    kind: EntryKind<'e>,
    mode: u32,
    mtime: i64,
    xattrs: &'e [(Vec<u8>, Vec<u8>)],
) -> LayerEntry<'e> {
    LayerEntry { name, kind, mode, uid: 0, gid: 0, mtime, xattrs }
}

//! Root file systems as one tar archive.
//!
//! Directories come first, then files in the order of the layers, then everything else, so that layers are read once
//! and nothing is kept. Equal images give equal archives.

use std::io::{self, Read, Write};

use polyarch_actors::BuiltImage;
use tokio_util::sync::CancellationToken;

use super::{
    beside::{self, Beside},
    contents::Contents,
    error::OutputError,
    rootfs::{Entry, Kind, RootFs},
    write::{Roots, Seen, folder_of},
};
use crate::oci::{
    Store,
    layer::{BLOCK, EntryKind, LayerEntry, padding, write_header},
};

/// Writes the root file systems of `images` to `out`.
pub(super) fn write(
    store: &Store,
    images: &[BuiltImage],
    roots: &Roots<'_>,
    out: &mut dyn Write,
    cancel: &CancellationToken,
) -> Result<(), OutputError> {
    let mut archive = Archive { out, epoch: roots.epoch, prefix: Vec::new(), header: Vec::new() };
    let mut seen = Seen::default();
    for (number, image) in images.iter().enumerate() {
        let root = RootFs::read(store, image, cancel)?;
        if roots.split {
            archive.begin(&folder_of(image, images))?;
        } else {
            seen.add(&root, &image.platform)?;
        }
        archive.add(store, &root, cancel)?;
        for beside in beside::files(store, &root, roots, number, images, cancel)? {
            archive.add_file(&beside)?;
        }
    }
    // Two empty blocks end an archive.
    archive.out.write_all(&[0; 2 * BLOCK]).map_err(failed)
}

struct Archive<'o> {
    out: &'o mut dyn Write,
    epoch: Option<i64>,
    prefix: Vec<u8>,
    header: Vec<u8>,
}

impl Archive<'_> {
    /// Begins a folder in which everything is from now on.
    fn begin(&mut self, folder: &str) -> Result<(), OutputError> {
        self.prefix.clear();
        let (kind, mtime) = (EntryKind::Directory, self.epoch.unwrap_or_default());
        self.put(&LayerEntry {
            name: folder.as_bytes(),
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: &[],
        })?;
        self.prefix = format!("{folder}/").into_bytes();
        Ok(())
    }

    fn add_file(&mut self, Beside { name, bytes }: &Beside) -> Result<(), OutputError> {
        let name = [&self.prefix, name.as_bytes()].concat();
        let (size, mtime) = (bytes.len() as u64, self.epoch.unwrap_or_default());
        let (kind, mode) = (EntryKind::File { size }, beside::MODE);
        self.put(&LayerEntry { name: &name, kind, mode, uid: 0, gid: 0, mtime, xattrs: &[] })?;
        self.out.write_all(bytes).map_err(failed)?;
        self.out.write_all(&[0; BLOCK][..padding(size)]).map_err(failed)
    }

    fn add(&mut self, store: &Store, root: &RootFs, cancel: &CancellationToken) -> Result<(), OutputError> {
        for (path, entry) in &root.entries {
            if entry.kind == Kind::Directory {
                self.entry(path, entry, EntryKind::Directory)?;
            }
        }
        let contents = Contents::of(root);
        contents.each(store, cancel, |path, entry, bytes| {
            let Kind::File { size, .. } = entry.kind else { return Ok(()) };
            self.entry(path, entry, EntryKind::File { size })?;
            self.body(bytes, size, cancel)
        })?;
        for (path, first) in contents.hard_links() {
            let target = [&self.prefix, first].concat();
            if let Some(entry) = root.entries.get(path) {
                self.entry(path, entry, EntryKind::HardLink { target: &target })?;
            }
        }
        for (path, entry) in &root.entries {
            let kind = match &entry.kind {
                Kind::Directory | Kind::File { .. } => continue,
                Kind::Symlink(target) => EntryKind::Symlink { target },
                Kind::Fifo => EntryKind::Fifo,
                Kind::CharDevice { major, minor } => EntryKind::CharDevice { major: *major, minor: *minor },
                Kind::BlockDevice { major, minor } => EntryKind::BlockDevice { major: *major, minor: *minor },
            };
            self.entry(path, entry, kind)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &[u8], entry: &Entry, kind: EntryKind<'_>) -> Result<(), OutputError> {
        let name = [&self.prefix, path].concat();
        let mut xattrs = entry.xattrs.clone();
        xattrs.sort();
        self.put(&LayerEntry {
            name: &name,
            kind,
            mode: entry.mode,
            uid: entry.uid.into(),
            gid: entry.gid.into(),
            mtime: self.epoch.unwrap_or(entry.modified),
            xattrs: &xattrs,
        })
    }

    fn put(&mut self, entry: &LayerEntry<'_>) -> Result<(), OutputError> {
        self.header.clear();
        write_header(entry, &mut self.header);
        self.out.write_all(&self.header).map_err(failed)
    }

    fn body(
        &mut self,
        bytes: &mut dyn Read,
        size: u64,
        cancel: &CancellationToken,
    ) -> Result<(), OutputError> {
        let mut buffer = vec![0; 128 << 10];
        loop {
            if cancel.is_cancelled() {
                return Err(OutputError::Cancelled);
            }
            match bytes.read(&mut buffer).map_err(failed)? {
                0 => break,
                read => self.out.write_all(&buffer[..read]).map_err(failed)?,
            }
        }
        self.out.write_all(&[0; BLOCK][..padding(size)]).map_err(failed)
    }
}

fn failed(source: io::Error) -> OutputError {
    OutputError::Io { path: "the archive".into(), source }
}

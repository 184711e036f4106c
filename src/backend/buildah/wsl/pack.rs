//! Everything that a build needs, as one archive: contexts, base images and secrets.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use polyarch_actors::{BuildError, Digest};

use crate::{
    context::{Context, Entry, Ignore, Kind, Reader, RelPath, read_ignore},
    error::with_sources,
    oci::{
        Store,
        layer::{EntryKind, LayerEntry, padding, write_header},
        layout, media_type,
    },
};

/// One thing of an archive, and the folder or file that it is there.
#[derive(Debug)]
pub(super) struct Part {
    /// From the root of the work folder, in ASCII letters, digits, `-` and `/`.
    pub(super) place: String,
    pub(super) what: What,
}

/// What a part is.
pub(super) enum What {
    /// A directory of this machine, and the ignore file that counts for it instead of its own.
    Context { folder: PathBuf, ignore: Option<String> },
    /// An image of the store by its manifest, as an OCI layout in which it is called `it`.
    Image(Digest),
    /// A file that only its owner may read.
    Private(Vec<u8>),
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Context { folder, .. } => f.debug_tuple("Context").field(folder).finish(),
            Self::Image(digest) => f.debug_tuple("Image").field(digest).finish(),
            Self::Private(_) => f.write_str("Private"),
        }
    }
}

/// Writes an archive. It blocks.
pub(super) fn pack(store: &Store, parts: &[Part], out: impl Write) -> Result<(), BuildError> {
    let mut archive = Archive { out, head: Vec::new() };
    for part in parts {
        match &part.what {
            What::Context { folder, ignore } => {
                archive.context(&part.place, folder, ignore.as_deref())?;
            }
            What::Image(manifest) => archive.image(&part.place, store, manifest)?,
            What::Private(bytes) => archive.file(&part.place, 0o600, bytes.len() as u64, &bytes[..])?,
        }
    }
    archive.out.write_all(&[0; 1024]).and_then(|()| archive.out.flush()).map_err(unsent)
}

struct Archive<W> {
    out: W,
    head: Vec<u8>,
}

impl<W: Write> Archive<W> {
    /// Only what counts is sent, so that what is ignored is not looked at again there.
    fn context(&mut self, place: &str, folder: &Path, ignore: Option<&str>) -> Result<(), BuildError> {
        let bad_ignore =
            |error: &dyn std::error::Error| BuildError::invalid(format!(".dockerignore: {error}"));
        let unreadable = |error| BuildError::invalid(with_sources(&error));
        let text = if let Some(text) = ignore {
            text.as_bytes().to_vec()
        } else {
            let all = Context::open(folder, Ignore::default()).map_err(unreadable)?;
            read_ignore(&all).map_err(|error| bad_ignore(&error))?.unwrap_or_default()
        };
        let ignore = Ignore::parse(&text).map_err(|error| bad_ignore(&error))?;
        let context = Context::open(folder, ignore).map_err(unreadable)?;
        self.folder(place)?;
        let mut reader = context.reader();
        let mut links: HashMap<(u64, u64), RelPath> = HashMap::new();
        for entry in context.walk(&RelPath::root()).map_err(unreadable)?.unwrap_or_default() {
            if entry.path.is_root() {
                continue;
            }
            let name = [place.as_bytes(), b"/", entry.path.as_bytes()].concat();
            let file = (entry.stamp.device, entry.stamp.inode);
            let other = if entry.kind == Kind::File && entry.links > 1 {
                let other = links.get(&file).cloned();
                links.entry(file).or_insert_with(|| entry.path.clone());
                other
            } else {
                None
            };
            let target = other.map(|path| [place.as_bytes(), b"/", path.as_bytes()].concat());
            self.entry(&name, &entry, target.as_deref(), &mut reader)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        name: &[u8],
        entry: &Entry,
        link: Option<&[u8]>,
        reader: &mut Reader<'_>,
    ) -> Result<(), BuildError> {
        let kind = match (&entry.kind, link) {
            (_, Some(target)) => EntryKind::HardLink { target },
            (Kind::File, None) => EntryKind::File { size: entry.stamp.size },
            (Kind::Directory, None) => EntryKind::Directory,
            (Kind::Symlink { target }, None) => EntryKind::Symlink { target },
            (Kind::Fifo, None) => EntryKind::Fifo,
            (Kind::CharDevice { major, minor }, None) => {
                EntryKind::CharDevice { major: *major, minor: *minor }
            }
            (Kind::BlockDevice { major, minor }, None) => {
                EntryKind::BlockDevice { major: *major, minor: *minor }
            }
        };
        let mtime = entry.stamp.modified.seconds;
        // What a context holds belongs to root, as BuildKit has it.
        self.header(&LayerEntry { name, kind, mode: entry.mode, uid: 0, gid: 0, mtime, xattrs: &[] })?;
        if let EntryKind::File { size } = kind {
            let unreadable = |error| BuildError::invalid(with_sources(&error));
            let mut file = reader.open(entry).map_err(unreadable)?;
            self.content(&mut file, size)?;
            reader.check(entry, &file).map_err(unreadable)?;
        }
        Ok(())
    }

    /// An image layout. Source: OCI image specification, `image-layout.md`.
    fn image(&mut self, place: &str, store: &Store, manifest: &Digest) -> Result<(), BuildError> {
        let lost = |error| BuildError::Host { reason: with_sources(&error), retryable: false };
        let bytes = store.read_document(manifest).map_err(lost)?;
        let document: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| BuildError::invalid(format!("the manifest {manifest}: {error}")))?;
        let kind = document["mediaType"].as_str().unwrap_or(media_type::MANIFEST);
        let root = serde_json::json!({
            "mediaType": kind,
            "digest": manifest.to_string(),
            "size": bytes.len(),
            "annotations": {"org.opencontainers.image.ref.name": "it"},
        });
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [root]}).to_string();
        let marker = r#"{"imageLayoutVersion":"1.0.0"}"#;
        self.folder(place)?;
        self.folder(&format!("{place}/blobs"))?;
        self.folder(&format!("{place}/blobs/sha256"))?;
        self.file(&format!("{place}/oci-layout"), 0o644, marker.len() as u64, marker.as_bytes())?;
        self.file(&format!("{place}/index.json"), 0o644, index.len() as u64, index.as_bytes())?;
        let root = polyarch_actors::Descriptor {
            media_type: kind.to_owned(),
            digest: manifest.clone(),
            size: bytes.len() as u64,
            annotations: std::collections::BTreeMap::new(),
        };
        for digest in layout::closure(store, &root).map_err(lost)? {
            let (size, file) = (store.size(&digest).map_err(lost)?, store.open_blob(&digest).map_err(lost)?);
            self.file(&format!("{place}/blobs/sha256/{}", digest.hex()), 0o644, size, file)?;
        }
        Ok(())
    }

    fn folder(&mut self, place: &str) -> Result<(), BuildError> {
        let (name, kind) = (place.as_bytes(), EntryKind::Directory);
        self.header(&LayerEntry { name, kind, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: &[] })
    }

    fn file(&mut self, place: &str, mode: u32, size: u64, mut content: impl Read) -> Result<(), BuildError> {
        let (name, kind) = (place.as_bytes(), EntryKind::File { size });
        self.header(&LayerEntry { name, kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: &[] })?;
        self.content(&mut content, size)
    }

    fn header(&mut self, entry: &LayerEntry<'_>) -> Result<(), BuildError> {
        self.head.clear();
        write_header(entry, &mut self.head);
        self.out.write_all(&self.head).map_err(unsent)
    }

    fn content(&mut self, content: &mut impl Read, size: u64) -> Result<(), BuildError> {
        let copied = io::copy(&mut content.take(size), &mut self.out).map_err(unsent)?;
        if copied < size {
            return Err(BuildError::invalid("a file became shorter while it was read"));
        }
        self.out.write_all(&vec![0; padding(size)]).map_err(unsent)
    }
}

/// Whoever unpacks says why it went away, so this is not what a person gets to see.
fn unsent(error: io::Error) -> BuildError {
    BuildError::Host { reason: format!("the files of a build cannot be sent: {error}"), retryable: true }
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;

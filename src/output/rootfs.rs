//! The root file system of an image: which member of which layer is at each path in the end.
//!
//! Symbolic links lead where they would in a container: an absolute one begins at the root of the image, and `..`
//! stays below it.
//!
//! Source: OCI image specification, `layer.md`, "Applying Changesets"; containerd, `pkg/archive/tar.go`.

use std::{borrow::Cow, collections::BTreeMap, ops::Bound};

use polyarch_actors::{BuiltImage, Digest, ImageOs};
use tokio_util::sync::CancellationToken;

use super::{
    error::OutputError,
    layers::{layers, of_windows},
};
use crate::{
    archive::{Archive, DEEPEST, Member, MemberKind, decompress},
    context::{RelPath, Xattr},
    oci::{Store, layer::windows::Spellings},
};

/// How many symbolic links one path may lead through.
const MOST_LINKS: usize = 255;
/// The most memory that all paths may take, in bytes, and what one takes beside its name.
const MOST_MEMORY: usize = 2 << 30;
const ENTRY: usize = 192;

/// What is at a path.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// In seconds since 1970.
    pub(super) modified: i64,
    pub(super) xattrs: Vec<Xattr>,
    /// The layer that put it there.
    layer: usize,
}

impl Entry {
    /// How many bytes a file has; nothing where it is none.
    pub(super) fn size(&self) -> u64 {
        if let Kind::File { size, .. } = self.kind { size } else { 0 }
    }

    /// How much memory what is said of it takes beside its name, in bytes.
    fn weight(&self) -> usize {
        let target = if let Kind::Symlink(target) = &self.kind { target.len() } else { 0 };
        target + self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// What kind of thing it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File { size: u64, source: Source },
    Symlink(Vec<u8>),
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// Where the bytes of a file are; two paths with the same source are one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    /// The layer, counted from the lowest.
    pub(super) layer: usize,
    /// The member, counted from the first.
    pub(super) member: usize,
}

/// Everything that an image has, without the bytes of files.
#[derive(Debug, Default)]
pub(super) struct RootFs {
    /// By path; a directory stands before what is in it.
    pub(super) entries: BTreeMap<Vec<u8>, Entry>,
    /// The layers, the lowest first.
    pub(super) layers: Vec<Digest>,
    memory: usize,
    /// How names are written in an image for Windows, where its files are only a part of what layers hold.
    spellings: Option<Spellings>,
}

impl RootFs {
    /// Reads all layers of an image.
    pub(super) fn read(
        store: &Store,
        image: &BuiltImage,
        cancel: &CancellationToken,
    ) -> Result<Self, OutputError> {
        let layers = layers(store, &image.manifest.digest)?;
        let spellings = (image.platform.os() == ImageOs::Windows).then(Spellings::default);
        let mut root = Self { layers, spellings, ..Self::default() };
        for (number, layer) in root.layers.clone().into_iter().enumerate() {
            let odd = |error: std::io::Error| OutputError::layer(&layer, error);
            let mut archive = Archive::new(decompress(store.open_blob(&layer)?).map_err(odd)?);
            let (mut count, mut links) = (0, Vec::new());
            while let Some(member) = archive.next_member().map_err(odd)? {
                if cancel.is_cancelled() {
                    return Err(OutputError::Cancelled);
                }
                let source = Source { layer: number, member: count };
                count += 1;
                let member = if root.spellings.is_some() { of_windows(member) } else { Some(member) };
                match member {
                    None => {}
                    // Windows makes links when all files are there.
                    Some(member)
                        if root.spellings.is_some() && matches!(member.kind, MemberKind::Hardlink(_)) =>
                    {
                        links.push((member, source));
                    }
                    Some(member) => {
                        root.apply(member, source).map_err(|reason| OutputError::layer(&layer, reason))?;
                    }
                }
            }
            for (member, source) in links {
                root.apply(member, source).map_err(|reason| OutputError::layer(&layer, reason))?;
            }
        }
        Ok(root)
    }

    /// Does what a member of a layer says.
    fn apply(&mut self, member: Member, source: Source) -> Result<(), String> {
        let Some((parent, name)) = member.path.split() else { return Ok(()) };
        let shown = &member.path;
        let circle = || format!("{shown} leads through symbolic links without end");
        let parent = self.resolve(&parent).ok_or_else(circle)?;
        if name == b".wh..wh..opq" {
            self.keep_layer(&parent, source.layer);
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            if !matches!(hidden, b"" | b"." | b"..") && !hidden.starts_with(b".wh.") {
                self.remove(self.spelled(&parent.child(hidden)).as_bytes());
            }
            return Ok(());
        }
        let path = parent.child(name);
        if path.components().nth(DEEPEST).is_some() {
            return Err(format!("{shown} is deeper than any image needs"));
        }
        let Member { mode, uid, gid, modified, xattrs, size, .. } = member;
        let kind = match member.kind {
            MemberKind::File => Kind::File { size, source },
            MemberKind::Directory => Kind::Directory,
            MemberKind::Symlink(target) => Kind::Symlink(target),
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
            MemberKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            MemberKind::Hardlink(target) => {
                let found = self.linked(&target).filter(|found| found.kind != Kind::Directory);
                let missing = || format!("{} is a hard link to {target}, which is not there", member.path);
                let found = Entry { layer: source.layer, ..found.ok_or_else(missing)?.clone() };
                return self.put(&path, found);
            }
        };
        self.put(&path, Entry { kind, mode, uid, gid, modified, xattrs, layer: source.layer })
    }

    fn linked(&self, target: &RelPath) -> Option<&Entry> {
        let (parent, name) = target.split()?;
        self.entries.get(self.spelled(&self.resolve(&parent)?.child(name)).as_bytes())
    }

    /// Puts an entry at a path. Parents that are missing are made, and whatever else stands in the way goes.
    fn put(&mut self, path: &RelPath, entry: Entry) -> Result<(), String> {
        let path = &self.spelled(path);
        if let Some(spellings) = &mut self.spellings {
            self.memory += spellings.learn(path);
        }
        self.memory += ENTRY + path.as_bytes().len() + entry.weight();
        let mut above = RelPath::root();
        for name in path.split().map(|(parent, _)| parent).unwrap_or_default().components() {
            above = above.child(name);
            if self.entries.get(above.as_bytes()).is_none_or(|entry| entry.kind != Kind::Directory) {
                self.memory += ENTRY + above.as_bytes().len();
                let (mode, layer) = (0o755, entry.layer);
                let (kind, xattrs) = (Kind::Directory, Vec::new());
                let made = Entry { kind, mode, uid: 0, gid: 0, modified: entry.modified, xattrs, layer };
                self.entries.insert(above.as_bytes().to_vec(), made);
            }
        }
        if self.memory > MOST_MEMORY {
            return Err("with the layers below it, it names more files than any image needs".into());
        }
        if entry.kind != Kind::Directory {
            self.remove(path.as_bytes());
        }
        self.entries.insert(path.as_bytes().to_vec(), entry);
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        let is_directory = self.entries.remove(path).is_some_and(|entry| entry.kind == Kind::Directory);
        if is_directory {
            let below: Vec<Vec<u8>> = self.below(path).map(|(path, _)| path.clone()).collect();
            for path in &below {
                self.entries.remove(path);
            }
        }
    }

    /// Removes everything in a directory that `layer` did not put there.
    fn keep_layer(&mut self, directory: &RelPath, layer: usize) {
        let old = self.below(directory.as_bytes()).filter(|(_, entry)| entry.layer != layer);
        let old: Vec<Vec<u8>> = old.map(|(path, _)| path.clone()).collect();
        // What is in a directory goes before the directory is asked whether it is empty.
        for path in old.iter().rev() {
            if self.below(path).next().is_none() {
                self.entries.remove(path);
            }
        }
    }

    /// What is in a directory, at any depth; in everything for the root.
    fn below(&self, directory: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        let bounds = if directory.is_empty() {
            (Bound::Unbounded, Bound::Unbounded)
        } else {
            // The character behind the slash.
            (Bound::Excluded([directory, b"/"].concat()), Bound::Excluded([directory, b"0"].concat()))
        };
        self.entries.range(bounds)
    }

    /// Where `path` leads when every symbolic link is followed; what is missing stays as it is. `None` for links in a
    /// circle.
    fn resolve(&self, path: &RelPath) -> Option<RelPath> {
        let mut path = path.clone();
        for _ in 0..=MOST_LINKS {
            if path.components().nth(DEEPEST).is_some() {
                return None;
            }
            match self.follow_first(&path) {
                Some(target) => path = target,
                None => return Some(self.spelled(&path).into_owned()),
            }
        }
        None
    }

    fn spelled<'p>(&self, path: &'p RelPath) -> Cow<'p, RelPath> {
        match &self.spellings {
            None => Cow::Borrowed(path),
            Some(spellings) => Cow::Owned(spellings.spelled(path)),
        }
    }

    /// The path that the first symbolic link in `path` turns it into, if there is one.
    fn follow_first(&self, path: &RelPath) -> Option<RelPath> {
        let path = self.spelled(path);
        let mut at = RelPath::root();
        let mut names = path.components();
        while let Some(name) = names.next() {
            let child = at.child(name);
            if let Kind::Symlink(target) = &self.entries.get(child.as_bytes())?.kind {
                let from = if target.starts_with(b"/") { RelPath::root() } else { at };
                let mut led = [from.as_bytes(), target].join(&b'/');
                for rest in names {
                    led.push(b'/');
                    led.extend_from_slice(rest);
                }
                return Some(RelPath::clean(&led));
            }
            at = child;
        }
        None
    }
}

#[cfg(test)]
#[path = "rootfs_tests.rs"]
mod tests;

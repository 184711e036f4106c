//! The index of paths: what a stage's layers put where, without its bytes.
//!
//! Symbolic links lead where they would in a container: an absolute one begins at the root of the image, and `..`
//! stays below it. Directories are shared between stages until one of them changes.

use std::{borrow::Cow, collections::BTreeMap, convert::Infallible, sync::Arc};

use polyarch_actors::ImageOs;

use super::{
    index::{IndexEntry, IndexKind},
    node::{Node, NodeKind},
    spool::{Bytes, Spool},
};
use crate::{
    archive::DEEPEST,
    context::{self, RelPath},
    oci::layer::windows::Spellings,
};

/// How many symbolic links one path may lead through.
const MOST_LINKS: usize = 255;
/// The longest path that links may lead to.
const LONGEST_PATH: usize = 4096;
/// The most memory that the paths of one image may take, in bytes, and what one takes beside what is said of it.
const MOST_MEMORY: usize = 1 << 30;
const NODE: usize = 128;

/// The paths of a root file system.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: Arc<Node>,
    /// How much memory everything that was ever put there takes, in bytes.
    taken: usize,
    /// On Windows, how names are written.
    spellings: Option<Spellings>,
    /// Whether there may be more below it, in a base that nobody has looked at.
    hides_base: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self::of(ImageOs::Linux)
    }
}

impl Tree {
    /// No path yet, in an image for this system.
    pub(super) fn of(os: ImageOs) -> Self {
        let root = Arc::new(Node::directory(0, 0, 0, 0));
        let spellings = (os == ImageOs::Windows).then(Spellings::default);
        Self { root, taken: 0, spellings, hides_base: false }
    }

    /// The same where a base below it has paths of its own that nobody looks at.
    pub(super) fn above_hidden_base(self, hides_base: bool) -> Self {
        Self { hides_base, ..self }
    }

    /// Whether there may be more below it, in a base that nobody has looked at.
    pub(super) fn hides_base(&self) -> bool {
        self.hides_base
    }

    /// What the image is for.
    pub(super) fn os(&self) -> ImageOs {
        if self.spellings.is_some() { ImageOs::Windows } else { ImageOs::Linux }
    }

    /// A path as its names are written where they are there already in another spelling.
    pub(super) fn spelled<'p>(&self, path: &'p RelPath) -> Cow<'p, RelPath> {
        match &self.spellings {
            None => Cow::Borrowed(path),
            Some(spellings) => Cow::Owned(spellings.spelled(path)),
        }
    }

    /// What is at `path`, whose parents are no symbolic links.
    pub(super) fn get(&self, path: &RelPath) -> Option<&Node> {
        let path = self.spelled(path);
        let mut node = &self.root;
        for name in path.components() {
            node = node.children()?.get(name)?;
        }
        Some(node)
    }

    /// Where `path` leads when every symbolic link is followed; what is missing stays as it is. `None` for links
    /// in a circle.
    pub(super) fn resolve(&self, path: &RelPath) -> Option<RelPath> {
        let mut path = path.clone();
        for _ in 0..=MOST_LINKS {
            if path.as_bytes().len() > LONGEST_PATH || path.components().nth(DEEPEST).is_some() {
                return None;
            }
            match self.follow_first(&path) {
                Some(target) => path = target,
                None => return Some(self.spelled(&path).into_owned()),
            }
        }
        None
    }

    /// The path that the first symbolic link in `path` turns it into, if there is one.
    fn follow_first(&self, path: &RelPath) -> Option<RelPath> {
        let path = self.spelled(path);
        let (mut node, mut at) = (&self.root, RelPath::root());
        let mut names = path.components();
        while let Some(name) = names.next() {
            node = node.children()?.get(name)?;
            if let NodeKind::Symlink(target) = &node.kind {
                let from = if target.starts_with(b"/") { RelPath::root() } else { at };
                let mut led = [from.as_bytes(), target].join(&b'/');
                for rest in names {
                    led.push(b'/');
                    led.extend_from_slice(rest);
                }
                return Some(RelPath::clean(&led));
            }
            at = at.child(name);
        }
        None
    }

    /// Puts `node` at `path`; a directory that is there keeps what is in it. Parents that are missing are made,
    /// and whatever else stands in the way goes.
    pub(super) fn put(&mut self, path: &RelPath, mut node: Node) {
        let layer = node.layer;
        let path = self.spelled(path);
        if let Some(spellings) = &mut self.spellings {
            self.taken += spellings.learn(&path);
        }
        self.taken += node.weight();
        let mut at = &mut self.root;
        for name in path.components() {
            let parent = Arc::make_mut(at);
            if !parent.is_directory() {
                *parent = Node::directory(0, 0, 0, layer);
            }
            let Some(children) = parent.children_mut() else { return };
            let missing = || {
                self.taken += NODE + name.len();
                Arc::new(Node::directory(0, 0, 0, layer))
            };
            at = children.entry(name.to_vec()).or_insert_with(missing);
        }
        let at = Arc::make_mut(at);
        if let (Some(old), Some(new)) = (at.children_mut(), node.children_mut()) {
            std::mem::swap(old, new);
        }
        *at = node;
    }

    /// Does what a member of a layer says; `spool` has its bytes.
    ///
    /// Source: OCI image specification, `layer.md`, "Applying Changesets"; containerd, `pkg/archive/tar.go`.
    pub(super) fn apply(
        &mut self,
        member: IndexEntry,
        spool: &Arc<Spool>,
        layer: usize,
    ) -> Result<(), String> {
        if self.taken > MOST_MEMORY {
            return Err("with the layers below it, it names more files than any image needs".into());
        }
        let shown = RelPath::clean(&member.path);
        let Some((parent, name)) = shown.split() else {
            // The root itself: only its attributes count.
            if member.kind == IndexKind::Directory {
                self.put(&shown, node(member, NodeKind::Directory(BTreeMap::new()), layer));
            }
            return Ok(());
        };
        let circle = || format!("{shown} leads through symbolic links without end");
        let parent = self.resolve(&parent).ok_or_else(circle)?;
        if name == b".wh..wh..opq" {
            self.change(&parent, |directory| keep_layer(directory, layer));
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(format!("{shown} deletes nothing that can be named"));
            }
            if !hidden.starts_with(b".wh.") {
                let hidden = self.spelled(&parent.child(hidden)).into_owned();
                let name = hidden.split().map(|(_, name)| name.to_vec()).unwrap_or_default();
                self.change(&parent, |directory| {
                    directory.children_mut().map(|children| children.remove(&name));
                });
            }
            return Ok(());
        }
        let path = parent.child(name);
        if path.components().nth(DEEPEST).is_some() {
            return Err(format!("{path} is deeper than any image needs"));
        }
        let kind = match &member.kind {
            IndexKind::File { size, digest, offset } => {
                let (size, digest, offset) = (*size, *digest, *offset);
                NodeKind::File(Bytes { size, digest, spool: Arc::clone(spool), offset })
            }
            IndexKind::Directory => NodeKind::Directory(BTreeMap::new()),
            IndexKind::Symlink(target) => NodeKind::Symlink(target.clone()),
            IndexKind::Fifo => NodeKind::Fifo,
            IndexKind::CharDevice { major, minor } => NodeKind::CharDevice { major: *major, minor: *minor },
            IndexKind::BlockDevice { major, minor } => NodeKind::BlockDevice { major: *major, minor: *minor },
            IndexKind::Hardlink(target) => {
                let target = RelPath::clean(target);
                let found = self.link_target(&target).filter(|found| !found.is_directory());
                let mut found = found
                    .cloned()
                    .ok_or_else(|| format!("{shown} is a hard link to {target}, which is not there"))?;
                found.layer = layer;
                self.put(&path, found);
                return Ok(());
            }
        };
        self.put(&path, node(member, kind, layer));
        Ok(())
    }

    fn link_target(&self, target: &RelPath) -> Option<&Node> {
        let (parent, name) = target.split()?;
        self.get(&self.resolve(&parent)?.child(name))
    }

    fn change(&mut self, path: &RelPath, change: impl FnOnce(&mut Node)) {
        if self.get(path).is_none() {
            return;
        }
        let path = self.spelled(path);
        let mut at = &mut self.root;
        for name in path.components() {
            let Some(child) = Arc::make_mut(at).children_mut().and_then(|children| children.get_mut(name))
            else {
                return;
            };
            at = child;
        }
        change(Arc::make_mut(at));
    }
}

/// Removes everything that no member of `layer` put there.
fn keep_layer(directory: &mut Node, layer: usize) {
    let Some(children) = directory.children_mut() else { return };
    children.retain(|_, child| {
        let child = Arc::make_mut(child);
        keep_layer(child, layer);
        child.layer == layer || child.children().is_some_and(|children| !children.is_empty())
    });
}

fn node(member: IndexEntry, kind: NodeKind, layer: usize) -> Node {
    let IndexEntry { mode, uid, gid, modified, xattrs, .. } = member;
    Node { kind, mode, uid, gid, modified, xattrs, layer }
}

impl context::Tree for Tree {
    type Error = Infallible;

    fn node(&self, path: &RelPath) -> Result<Option<context::Node>, Infallible> {
        Ok(self.get(path).map(|node| match &node.kind {
            NodeKind::Directory(_) => context::Node::Directory,
            NodeKind::Symlink(target) => context::Node::Symlink(target.clone()),
            _ => context::Node::File,
        }))
    }

    fn names(&self, directory: &RelPath) -> Result<Vec<Vec<u8>>, Infallible> {
        let children = self.get(directory).and_then(Node::children);
        Ok(children.map(|children| children.keys().cloned().collect()).unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;

//! The index of paths: what a stage's layers put where, without its bytes.
//!
//! Symbolic links lead where they would in a container: an absolute one begins at the root of the image, and `..`
//! stays below it. Directories are shared between stages until one of them changes.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use super::{
    index::{IndexEntry, IndexKind},
    spool::{Bytes, Spool},
};
use crate::{
    archive::DEEPEST,
    context::{self, RelPath, Xattr},
};

/// How many symbolic links one path may lead through.
const MOST_LINKS: usize = 255;
/// The longest path that links may lead to.
const LONGEST_PATH: usize = 4096;
/// The most memory that the paths of one image may take, in bytes, and what one takes beside what is said of it.
const MOST_MEMORY: usize = 1 << 30;
const NODE: usize = 128;

/// What is at a path.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// In seconds since 1970.
    pub(super) modified: i64,
    pub(super) xattrs: Vec<Xattr>,
    /// The layer that put it there, counted from 1.
    pub(super) layer: usize,
}

/// What kind of thing it is.
#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Directory(BTreeMap<Vec<u8>, Arc<Node>>),
    File(Bytes),
    Symlink(Vec<u8>),
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// The paths of a root file system.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: Arc<Node>,
    /// How much memory everything that was ever put there takes, in bytes.
    taken: usize,
}

impl Node {
    /// A directory of root's, as it is made where one is missing.
    pub(super) fn directory(uid: u32, gid: u32, modified: i64, layer: usize) -> Self {
        let kind = NodeKind::Directory(BTreeMap::new());
        Self { kind, mode: 0o755, uid, gid, modified, xattrs: Vec::new(), layer }
    }

    /// How much memory what is said of it takes, in bytes.
    fn weight(&self) -> usize {
        let target = if let NodeKind::Symlink(target) = &self.kind { target.len() } else { 0 };
        target + self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    pub(super) fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory(_))
    }

    pub(super) fn children(&self) -> Option<&BTreeMap<Vec<u8>, Arc<Self>>> {
        match &self.kind {
            NodeKind::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn children_mut(&mut self) -> Option<&mut BTreeMap<Vec<u8>, Arc<Self>>> {
        match &mut self.kind {
            NodeKind::Directory(children) => Some(children),
            _ => None,
        }
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: Arc::new(Node::directory(0, 0, 0, 0)), taken: 0 }
    }
}

impl Tree {
    /// What is at `path`, whose parents are no symbolic links.
    pub(super) fn get(&self, path: &RelPath) -> Option<&Node> {
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
                None => return Some(path),
            }
        }
        None
    }

    /// The path that the first symbolic link in `path` turns it into, if there is one.
    fn follow_first(&self, path: &RelPath) -> Option<RelPath> {
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
                self.change(&parent, |directory| {
                    directory.children_mut().map(|children| children.remove(hidden));
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

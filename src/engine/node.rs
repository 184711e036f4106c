//! What is at a path of a root file system.

use std::{collections::BTreeMap, sync::Arc};

use super::spool::Bytes;
use crate::context::Xattr;

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

impl Node {
    /// A directory of root's, as it is made where one is missing.
    pub(super) fn directory(uid: u32, gid: u32, modified: i64, layer: usize) -> Self {
        let kind = NodeKind::Directory(BTreeMap::new());
        Self { kind, mode: 0o755, uid, gid, modified, xattrs: Vec::new(), layer }
    }

    /// How much memory what is said of it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
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

    pub(super) fn children_mut(&mut self) -> Option<&mut BTreeMap<Vec<u8>, Arc<Self>>> {
        match &mut self.kind {
            NodeKind::Directory(children) => Some(children),
            _ => None,
        }
    }
}

//! What one step puts in place, checked against what is there.

use std::collections::BTreeMap;

use polyarch_actors::ImageOs;

use super::{
    error::EngineError,
    layer::{Entries, NewEntry, NewKind},
    node::{Node, NodeKind},
    tree::Tree,
    windows,
};
use crate::context::RelPath;

/// The changes of one step.
#[derive(Debug)]
pub(super) struct Changes {
    tree: Tree,
    /// When directories are modified that no source stands for.
    modified: i64,
    entries: Entries,
}

/// The layer that the changes will be: only whether two things come from the same one counts here.
const LAYER: usize = usize::MAX;

impl Changes {
    /// Changes to `tree`.
    pub(super) fn new(tree: Tree, modified: i64) -> Self {
        Self { tree, modified, entries: Entries::new() }
    }

    /// What there is by now.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// What was put in place. For Windows, with all directories above it: whoever unpacks a layer there makes none by
    /// himself. Those that were there say what they said.
    pub(super) fn finish(mut self) -> Entries {
        if self.tree.os() == ImageOs::Windows {
            for path in self.entries.keys().cloned().collect::<Vec<_>>() {
                let mut above = RelPath::clean(&path).split().map(|(parent, _)| parent).unwrap_or_default();
                while let (Some((parent, _)), Some(node)) = (above.split(), self.tree.get(&above)) {
                    if self.entries.contains_key(above.as_bytes()) {
                        break;
                    }
                    self.entries.insert(above.as_bytes().to_vec(), as_it_is(node));
                    above = parent;
                }
            }
        }
        self.entries
    }

    /// Where `path` leads when all symbolic links are followed.
    pub(super) fn resolve(&self, path: &RelPath) -> Result<RelPath, EngineError> {
        let circle = || EngineError::Invalid(format!("/{path} leads through symbolic links without end"));
        self.tree.resolve(path).ok_or_else(circle)
    }

    /// Makes a directory and its parents where they are missing.
    pub(super) fn make_directories(&mut self, path: &RelPath, owner: (u32, u32)) -> Result<(), EngineError> {
        let mut at = RelPath::root();
        for name in path.components() {
            at = at.child(name);
            match self.tree.get(&at) {
                Some(node) if node.is_directory() => {}
                Some(_) => {
                    return Err(EngineError::Invalid(format!(
                        "/{at} is no directory, so /{path} cannot be made"
                    )));
                }
                None => {
                    let entry = NewEntry {
                        kind: NewKind::Directory,
                        mode: 0o755,
                        uid: owner.0,
                        gid: owner.1,
                        modified: self.modified,
                        xattrs: Vec::new(),
                    };
                    self.put(&at, entry)?;
                }
            }
        }
        Ok(())
    }

    /// Puts an entry in place, as BuildKit's copying does: a directory takes no other thing's place, and no other
    /// thing a directory's. The root keeps its attributes.
    pub(super) fn put(&mut self, path: &RelPath, entry: NewEntry) -> Result<(), EngineError> {
        if path.is_root() {
            return Ok(());
        }
        let is_directory = matches!(entry.kind, NewKind::Directory);
        match self.tree.get(path) {
            Some(node) if node.is_directory() && !is_directory => {
                return Err(EngineError::Invalid(format!("/{path} is a directory and cannot become a file")));
            }
            Some(node) if !node.is_directory() && is_directory => {
                let reason =
                    format!("/{path} is there and no directory, so no directory can be copied to it");
                return Err(EngineError::Invalid(reason));
            }
            _ => {}
        }
        self.replace(path, entry)
    }

    /// Puts an entry in place, whatever is there; only its parents must be directories.
    pub(super) fn replace(&mut self, path: &RelPath, entry: NewEntry) -> Result<(), EngineError> {
        if self.tree.os() == ImageOs::Windows {
            self.check_windows(path, &entry)?;
        }
        let path: &RelPath = &self.tree.spelled(path);
        if let Some((parent, _)) = path.split() {
            self.make_directories(&parent, (0, 0))?;
        }
        let is_directory = matches!(entry.kind, NewKind::Directory);
        if !is_directory && self.tree.get(path).is_some_and(Node::is_directory) {
            // What this step has put into the directory goes with it.
            let below = [path.as_bytes(), b"/"].concat();
            self.entries.retain(|other, _| !other.starts_with(&below));
        }
        let kind = match &entry.kind {
            NewKind::Directory => NodeKind::Directory(BTreeMap::new()),
            NewKind::Symlink(target) => NodeKind::Symlink(target.clone()),
            // Nobody reads a file before it is in a layer.
            NewKind::Fifo | NewKind::File { .. } => NodeKind::Fifo,
            NewKind::CharDevice { major, minor } => NodeKind::CharDevice { major: *major, minor: *minor },
            NewKind::BlockDevice { major, minor } => NodeKind::BlockDevice { major: *major, minor: *minor },
        };
        let (mode, uid, gid, modified) = (entry.mode, entry.uid, entry.gid, entry.modified);
        let xattrs = entry.xattrs.clone();
        self.tree.put(path, Node { kind, mode, uid, gid, modified, xattrs, layer: LAYER });
        self.entries.insert(path.as_bytes().to_vec(), entry);
        Ok(())
    }

    /// Refuses what would be something else on Windows than it is here.
    fn check_windows(&self, path: &RelPath, entry: &NewEntry) -> Result<(), EngineError> {
        if let Some(reason) = windows::unfit_path(path) {
            return Err(EngineError::Invalid(format!("{path} cannot be in a Windows image: {reason}")));
        }
        if self.tree.hides_base() && windows::is_of_system(path) {
            let top = path.components().next().map(String::from_utf8_lossy).unwrap_or_default();
            let reason = format!(
                "{path} goes into a folder of Windows itself, which has to be looked at: name C:/{top}/ as the destination"
            );
            return Err(EngineError::Invalid(reason));
        }
        let spelled = self.tree.spelled(path);
        let is_file = !matches!(entry.kind, NewKind::Directory);
        if is_file && *spelled != *path && self.entries.contains_key(spelled.as_bytes()) {
            let reason = format!("{path} and {spelled} are one file on Windows, which ignores case");
            return Err(EngineError::Invalid(reason));
        }
        Ok(())
    }
}

/// A directory that stays what it is.
fn as_it_is(node: &Node) -> NewEntry {
    let Node { mode, uid, gid, modified, xattrs, .. } = node;
    let (mode, uid, gid, modified, xattrs) = (*mode, *uid, *gid, *modified, xattrs.clone());
    NewEntry { kind: NewKind::Directory, mode, uid, gid, modified, xattrs }
}

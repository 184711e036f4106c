//! A context on disk.
//!
//! Every name is looked up in the directory that holds it, by a handle on that directory, and no symbolic link
//! is followed. So what a hostile process does to the tree meanwhile is an error at worst and never a way out of
//! the root.

use std::{
    io,
    path::{Path, PathBuf},
};

use polyarch_actors::ContextSource;

use super::{
    entry::{Entry, Kind},
    ignore::{Ignore, Rule, Within},
    path::RelPath,
    select::{Node, Tree},
};
use crate::folder::{Folder, Name, Refused, Seen, name_of};

/// A context on disk.
#[derive(Debug)]
pub struct Context {
    folder: PathBuf,
    root: Folder,
    ignore: Ignore,
}

/// Why a context cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The operating system refused.
    #[error("cannot {action} {path} in the context {}", context.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: RelPath,
        /// The context's directory.
        context: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file was there a moment ago.
    #[error("{path} vanished from the context {} while it was read", context.display())]
    Vanished {
        /// What is gone.
        path: RelPath,
        /// The context's directory.
        context: PathBuf,
    },
    /// Something else took its place, or it was written to.
    #[error("{path} changed in the context {} while it was read", context.display())]
    Changed {
        /// What changed.
        path: RelPath,
        /// The context's directory.
        context: PathBuf,
    },
}

impl Context {
    /// Opens the directory `folder`.
    pub fn open(folder: impl Into<PathBuf>, ignore: Ignore) -> Result<Self, ContextError> {
        Self::opened(folder.into(), Folder::open, ignore)
    }

    /// Opens the directory at an absolute path without symbolic links: one that is there by now is an error.
    pub(crate) fn open_exact(folder: impl Into<PathBuf>, ignore: Ignore) -> Result<Self, ContextError> {
        Self::opened(folder.into(), Folder::open_exact, ignore)
    }

    /// Opens the context of a build, as it is to be opened.
    pub(crate) fn of(source: &ContextSource) -> Result<Self, ContextError> {
        match source {
            ContextSource::Directory(folder) => Self::open(folder, Ignore::default()),
            ContextSource::Enclosed(folder) => Self::open_exact(folder, Ignore::default()),
        }
    }

    fn opened(
        folder: PathBuf,
        open: impl FnOnce(&Path) -> io::Result<Folder>,
        ignore: Ignore,
    ) -> Result<Self, ContextError> {
        match open(&folder) {
            Ok(root) => Ok(Self { folder, root, ignore }),
            Err(source) => {
                Err(ContextError::Io { action: "open", path: RelPath::root(), context: folder, source })
            }
        }
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The same, in which something else does not count.
    pub(crate) fn ignoring(self, ignore: Ignore) -> Self {
        Self { ignore, ..self }
    }

    /// What does not count in it.
    pub fn ignore(&self) -> &Ignore {
        &self.ignore
    }

    /// A handle on the directory `path`; `None` where it or a parent is missing or no directory.
    pub(super) fn open_directory(&self, path: &RelPath) -> Result<Option<Folder>, ContextError> {
        let mut directory = self.root.again().map_err(|source| self.io("open", path, source))?;
        for name in path.components() {
            directory = match directory.directory(&name_of(name)) {
                Ok(directory) => directory,
                Err(Refused::Missing | Refused::Replaced) => return Ok(None),
                Err(refused) => return Err(self.fault("open", path, refused)),
            };
        }
        Ok(Some(directory))
    }

    /// A handle on the directory `name` in `parent`, which was `seen` there a moment ago.
    pub(super) fn enter(&self, parent: &Folder, name: &Name, seen: &Entry) -> Result<Folder, ContextError> {
        let fault = |action: &'static str| move |refused| self.fault(action, &seen.path, refused);
        let opened = parent.directory(name).map_err(fault("open"))?;
        let stamp = opened.stamp().map_err(fault("look at"))?;
        if (stamp.device, stamp.inode) == (seen.stamp.device, seen.stamp.inode) {
            Ok(opened)
        } else {
            Err(self.changed(&seen.path))
        }
    }

    /// What is at `name` in `directory`, known as `path`. `None` for a socket.
    pub(super) fn entry(
        &self,
        directory: &Folder,
        name: &Name,
        path: RelPath,
    ) -> Result<Option<Entry>, ContextError> {
        let seen = directory.look(name).map_err(|refused| self.fault("look at", &path, refused))?;
        let entry =
            |Seen { kind, mode, uid, gid, links, stamp }| Entry { path, kind, mode, uid, gid, links, stamp };
        Ok(seen.map(entry))
    }

    /// The names in a directory, sorted by bytes.
    pub(super) fn list(&self, directory: &Folder, path: &RelPath) -> Result<Vec<Name>, ContextError> {
        let mut names = directory.names().map_err(|refused| self.fault("list", path, refused))?;
        names.sort_unstable();
        Ok(names)
    }

    /// The patterns as they apply in the directory `path`.
    pub(super) fn within(&self, path: &RelPath) -> Within<'_> {
        let mut within = self.ignore.at_root();
        let mut at = RelPath::root();
        for name in path.components() {
            at = at.child(name);
            within = within.enter(&at);
        }
        within
    }

    pub(super) fn io(&self, action: &'static str, path: &RelPath, source: io::Error) -> ContextError {
        ContextError::Io { action, path: path.clone(), context: self.folder.clone(), source }
    }

    pub(super) fn changed(&self, path: &RelPath) -> ContextError {
        ContextError::Changed { path: path.clone(), context: self.folder.clone() }
    }

    pub(super) fn vanished(&self, path: &RelPath) -> ContextError {
        ContextError::Vanished { path: path.clone(), context: self.folder.clone() }
    }

    /// A failure on something that was there a moment ago.
    pub(super) fn fault(&self, action: &'static str, path: &RelPath, refused: Refused) -> ContextError {
        match refused {
            Refused::Missing => self.vanished(path),
            // What was a directory or a file is now a symbolic link, a socket or something else.
            Refused::Replaced => self.changed(path),
            refused @ (Refused::InTheWay | Refused::Io(_)) => self.io(action, path, refused.into()),
        }
    }

    /// What is really at `path`, ignored or not, with a handle on the directory that holds it.
    pub(super) fn look(&self, path: &RelPath) -> Result<Option<(Folder, Entry)>, ContextError> {
        let (parent, name) = path.split().unwrap_or((RelPath::root(), b"."));
        let Some(directory) = self.open_directory(&parent)? else { return Ok(None) };
        match self.entry(&directory, &name_of(name), path.clone()) {
            Ok(entry) => Ok(entry.map(|entry| (directory, entry))),
            Err(ContextError::Vanished { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Tree for Context {
    type Error = ContextError;

    fn node(&self, path: &RelPath) -> Result<Option<Node>, ContextError> {
        let Some((_, entry)) = self.look(path)? else { return Ok(None) };
        if self.ignore.is_ignored(path.as_bytes()) {
            // An ignored directory is there for what is not ignored below it.
            let visible = entry.kind == Kind::Directory && self.walk(path)?.is_some();
            return Ok(visible.then_some(Node::Directory));
        }
        Ok(Some(match entry.kind {
            Kind::Directory => Node::Directory,
            Kind::Symlink { target } => Node::Symlink(target),
            _ => Node::File,
        }))
    }

    fn names(&self, path: &RelPath) -> Result<Vec<Vec<u8>>, ContextError> {
        let directory = self.open_directory(path)?.ok_or_else(|| self.vanished(path))?;
        let names = self.list(&directory, path)?;
        Ok(names.into_iter().map(Name::into_bytes).collect())
    }

    fn hidden_by(&self, path: &RelPath) -> Option<&Rule> {
        let rule = self.ignore.deciding(path.as_bytes()).filter(|rule| !rule.is_negated())?;
        matches!(self.look(path), Ok(Some(_))).then_some(rule)
    }
}

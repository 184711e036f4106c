//! A context on disk.
//!
//! Every name is looked up in the directory that holds it, by a handle on that directory, and no symbolic link
//! is followed. So what a hostile process does to the tree meanwhile is an error at worst and never a way out of
//! the root.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, major, minor, openat, readlinkat, statat},
    io::Errno,
};

use super::{
    entry::{Entry, Kind, Stamp, Time},
    ignore::{Ignore, Rule, Within},
    path::RelPath,
    select::{Node, Tree},
};

/// How a directory is opened: only if it is one.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A context on disk.
#[derive(Debug)]
pub struct Context {
    folder: PathBuf,
    root: OwnedFd,
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
        let folder = folder.into();
        // Only here may a link be followed: the user named it.
        match rustix::fs::open(&folder, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty()) {
            Ok(root) => Ok(Self { folder, root, ignore }),
            Err(errno) => {
                let (path, source) = (RelPath::root(), errno.into());
                Err(ContextError::Io { action: "open", path, context: folder, source })
            }
        }
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What does not count in it.
    pub fn ignore(&self) -> &Ignore {
        &self.ignore
    }

    /// A handle on the directory `path`; `None` where it or a parent is missing or no directory.
    pub(super) fn open_directory(&self, path: &RelPath) -> Result<Option<OwnedFd>, ContextError> {
        let mut directory = self.root.try_clone().map_err(|source| self.io("open", path, source))?;
        for name in path.components() {
            directory = match openat(&directory, &*name_of(name), DIRECTORY, Mode::empty()) {
                Ok(directory) => directory,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(errno) => return Err(self.fault("open", path, errno)),
            };
        }
        Ok(Some(directory))
    }

    /// A handle on the directory `name` in `parent`, which was `seen` there a moment ago.
    pub(super) fn enter(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        seen: &Entry,
    ) -> Result<OwnedFd, ContextError> {
        let opened = openat(parent, name, DIRECTORY, Mode::empty())
            .map_err(|errno| self.fault("open", &seen.path, errno))?;
        let stamp = self.stamp(opened.as_fd(), &seen.path)?;
        if (stamp.device, stamp.inode) == (seen.stamp.device, seen.stamp.inode) {
            Ok(opened)
        } else {
            Err(self.changed(&seen.path))
        }
    }

    pub(super) fn stamp(&self, file: BorrowedFd<'_>, path: &RelPath) -> Result<Stamp, ContextError> {
        let stat = rustix::fs::fstat(file).map_err(|errno| self.fault("look at", path, errno))?;
        Ok(stamp_of(&stat))
    }

    /// What is at `name` in `directory`, known as `path`. `None` for a socket.
    pub(super) fn entry(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        path: RelPath,
    ) -> Result<Option<Entry>, ContextError> {
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.fault("look at", &path, errno))?;
        let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => match readlinkat(directory, name, Vec::new()) {
                Ok(target) => Kind::Symlink { target: target.into_bytes() },
                Err(Errno::INVAL) => return Err(self.changed(&path)),
                Err(errno) => return Err(self.fault("read", &path, errno)),
            },
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        #[allow(clippy::useless_conversion, reason = "the widths of these differ between systems")]
        let (mode, links) = (u32::from(stat.st_mode) & 0o7777, u64::from(stat.st_nlink));
        Ok(Some(Entry {
            path,
            kind,
            mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links,
            stamp: stamp_of(&stat),
        }))
    }

    /// The names in a directory, sorted by bytes.
    pub(super) fn list(
        &self,
        directory: BorrowedFd<'_>,
        path: &RelPath,
    ) -> Result<Vec<CString>, ContextError> {
        let fault = |errno| self.fault("list", path, errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
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
    pub(super) fn fault(&self, action: &'static str, path: &RelPath, errno: Errno) -> ContextError {
        match errno {
            Errno::NOENT => self.vanished(path),
            // What was a directory or a file is now a symbolic link, a socket or something else.
            Errno::NOTDIR | Errno::LOOP | Errno::NXIO => self.changed(path),
            errno => self.io(action, path, errno.into()),
        }
    }

    /// What is really at `path`, ignored or not, with a handle on the directory that holds it.
    pub(super) fn look(&self, path: &RelPath) -> Result<Option<(OwnedFd, Entry)>, ContextError> {
        let (parent, name) = path.split().unwrap_or((RelPath::root(), b"."));
        let Some(directory) = self.open_directory(&parent)? else { return Ok(None) };
        match self.entry(directory.as_fd(), &name_of(name), path.clone()) {
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
        let names = self.list(directory.as_fd(), path)?;
        Ok(names.into_iter().map(CString::into_bytes).collect())
    }

    fn hidden_by(&self, path: &RelPath) -> Option<&Rule> {
        let rule = self.ignore.deciding(path.as_bytes()).filter(|rule| !rule.is_negated())?;
        matches!(self.look(path), Ok(Some(_))).then_some(rule)
    }
}

/// A name for the operating system. One with a NUL cannot exist, which the empty name stands for.
pub(super) fn name_of(name: &[u8]) -> CString {
    CString::new(name).unwrap_or_default()
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "the types of these differ between systems; none is negative or large, but for seconds"
)]
fn stamp_of(stat: &Stat) -> Stamp {
    Stamp {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        size: stat.st_size as u64,
        modified: Time { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 },
        changed: Time { seconds: stat.st_ctime as i64, nanoseconds: stat.st_ctime_nsec as u32 },
    }
}

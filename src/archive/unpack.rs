//! Unpacks an archive that nobody vouches for into a folder, and never outside it.
//!
//! Every name is looked up in the directory that holds it, by a handle on that directory, and no symbolic link is
//! followed: a member that would go through one is refused. Owners and extended attributes are not kept, as COPY
//! sets the first and a context brings none of the second; modes and times are.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, chmodat, fchmod, futimens, linkat, mkdirat,
        mknodat, openat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};
use tokio_util::sync::CancellationToken;

use super::{
    compression::decompress,
    reader::{Archive, Member, MemberKind},
};
use crate::context::RelPath;

/// How a directory is opened: only if it is one.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How much an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// The most members.
    pub members: usize,
    /// The most bytes of all members together.
    pub bytes: u64,
    /// How many times as large as the archive its members may be together, beyond the first GiB.
    pub ratio: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self { members: 1_000_000, bytes: 64 << 30, ratio: 1000 }
    }
}

/// So much may come out of any archive, however small it is.
const FREE_OF_RATIO: u64 = 1 << 30;

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// How many members.
    pub members: usize,
    /// How many devices were left out: only root could make them, and no build needs them.
    pub devices: usize,
}

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is malformed, cut off, or not meant well.
    #[error("{reason}")]
    Odd {
        /// What is wrong with it.
        reason: String,
    },
    /// A member cannot be unpacked as it is.
    #[error("its member {member} {reason}")]
    Member {
        /// The member.
        member: RelPath,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It holds more than it may.
    #[error("it holds more than {limit}")]
    TooLarge {
        /// The limit, in words.
        limit: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {} while unpacking", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Unpacks the archive `source`, compressed or not, into the directory `folder`.
///
/// What was unpacked before an error stays in the folder.
pub fn unpack(
    source: impl Read + Send + 'static,
    folder: &Path,
    limits: UnpackLimits,
    cancel: &CancellationToken,
) -> Result<Unpacked, UnpackError> {
    let read = Arc::new(AtomicU64::new(0));
    let source = decompress(Counted { source, read: read.clone() }).map_err(odd)?;
    let root = rustix::fs::open(folder, DIRECTORY, Mode::empty()).map_err(|errno| UnpackError::Io {
        action: "open",
        path: folder.to_owned(),
        source: errno.into(),
    })?;
    let mut unpacking = Unpacking {
        archive: Archive::new(source),
        folder,
        root,
        parent: None,
        directories: Vec::new(),
        limits,
        cancel,
        read,
        written: 0,
        done: Unpacked::default(),
    };
    while let Some(member) = unpacking.archive.next_member().map_err(odd)? {
        unpacking.take(&member)?;
    }
    unpacking.finish()
}

/// Counts what is read of the archive as it is stored.
struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

struct Unpacking<'u> {
    archive: Archive<Box<dyn Read + Send>>,
    folder: &'u Path,
    root: OwnedFd,
    /// The directory that the last member went to.
    parent: Option<(RelPath, OwnedFd)>,
    /// Directories get their modes and times at the end, when nothing is put into them any more.
    directories: Vec<(RelPath, Mode, Timestamps)>,
    limits: UnpackLimits,
    cancel: &'u CancellationToken,
    read: Arc<AtomicU64>,
    written: u64,
    done: Unpacked,
}

impl Unpacking<'_> {
    fn take(&mut self, member: &Member) -> Result<(), UnpackError> {
        if self.cancel.is_cancelled() {
            return Err(UnpackError::Cancelled);
        }
        self.done.members += 1;
        if self.done.members > self.limits.members {
            return Err(UnpackError::TooLarge { limit: format!("{} members", self.limits.members) });
        }
        let Some((above, name)) = member.path.split() else { return Ok(()) };
        let name = name_of(name);
        let parent = match self.parent.take() {
            Some(parent) if parent.0 == above => parent,
            _ => {
                let handle = self.make_directories(&member.path, &above)?;
                (above, handle)
            }
        };
        let made = self.make(member, parent.1.as_fd(), &name);
        self.parent = Some(parent);
        made
    }

    fn make(&mut self, member: &Member, parent: BorrowedFd<'_>, name: &CString) -> Result<(), UnpackError> {
        let failed = |errno: Errno| self.io("make", &member.path, errno);
        let times = times(member);
        match &member.kind {
            MemberKind::Directory => {
                // Without these bits, an ordinary user could neither fill nor remove it.
                let mode = mode(member) | Mode::RWXU;
                match mkdirat(parent, name, Mode::RWXU) {
                    Err(Errno::EXIST) if is_directory(parent, name) => {}
                    Err(Errno::EXIST) => {
                        self.clear(member, parent, name)?;
                        mkdirat(parent, name, Mode::RWXU).map_err(failed)?;
                    }
                    made => made.map_err(failed)?,
                }
                self.directories.push((member.path.clone(), mode, times));
            }
            MemberKind::File => {
                self.clear(member, parent, name)?;
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
                let mut file = File::from(file);
                self.copy(member, &mut file)?;
                let failed = |errno: Errno| self.io("finish", &member.path, errno);
                fchmod(&file, mode(member)).map_err(failed)?;
                futimens(&file, &times).map_err(failed)?;
            }
            MemberKind::Symlink(target) => {
                self.clear(member, parent, name)?;
                symlinkat(name_of(target), parent, name).map_err(failed)?;
                utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            }
            MemberKind::Hardlink(target) => self.link(member, target, parent, name)?,
            MemberKind::Fifo => {
                self.clear(member, parent, name)?;
                mknodat(parent, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(failed)?;
                chmodat(parent, name, mode(member), AtFlags::empty()).map_err(failed)?;
                utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            }
            MemberKind::CharDevice { .. } | MemberKind::BlockDevice { .. } => self.done.devices += 1,
        }
        Ok(())
    }

    /// Copies the bytes of a file.
    fn copy(&mut self, member: &Member, file: &mut File) -> Result<(), UnpackError> {
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = self.archive.read(&mut buffer).map_err(odd)?;
            if read == 0 {
                return Ok(());
            }
            self.written += read as u64;
            if self.written > self.limits.bytes {
                let limit = format!("{} GiB", self.limits.bytes >> 30);
                return Err(UnpackError::TooLarge { limit });
            }
            let stored = self.read.load(Ordering::Relaxed).max(1);
            if self.written > FREE_OF_RATIO && self.written / stored > self.limits.ratio {
                let limit = format!("{} times its own size", self.limits.ratio);
                return Err(UnpackError::TooLarge { limit });
            }
            if self.cancel.is_cancelled() {
                return Err(UnpackError::Cancelled);
            }
            file.write_all(&buffer[..read]).map_err(|source| UnpackError::Io {
                action: "write",
                path: self.shown(&member.path),
                source,
            })?;
        }
    }

    /// Makes another name of a file that came before.
    fn link(
        &self,
        member: &Member,
        target: &RelPath,
        parent: BorrowedFd<'_>,
        name: &CString,
    ) -> Result<(), UnpackError> {
        if *target == member.path {
            return Ok(());
        }
        let refuse = |reason| UnpackError::Member { member: member.path.clone(), reason };
        let missing = "is a hard link to something that did not come before it";
        let (above, old) = target.split().ok_or_else(|| refuse("is a hard link to a directory"))?;
        let old = name_of(old);
        let folder = self.open_directory(&above)?.ok_or_else(|| refuse(missing))?;
        match statat(&folder, &old, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                return Err(refuse("is a hard link to a directory"));
            }
            Ok(_) => {}
            Err(_) => return Err(refuse(missing)),
        }
        self.clear(member, parent, name)?;
        linkat(&folder, &old, parent, name, AtFlags::empty())
            .map_err(|errno| self.io("link", &member.path, errno))
    }

    /// Removes what an earlier member has put where this one goes.
    fn clear(&self, member: &Member, parent: BorrowedFd<'_>, name: &CString) -> Result<(), UnpackError> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(self.io("replace", &member.path, errno)),
        }
        let reason = "would replace a directory that is not empty";
        unlinkat(parent, name, AtFlags::REMOVEDIR)
            .map_err(|_| UnpackError::Member { member: member.path.clone(), reason })
    }

    /// A handle on the directory `path`, which is made with its parents where it is missing.
    fn make_directories(&self, member: &RelPath, path: &RelPath) -> Result<OwnedFd, UnpackError> {
        let failed = |errno: Errno| self.io("make the folder of", member, errno);
        let mut at = self.root.try_clone().map_err(odd)?;
        for name in path.components() {
            let name = name_of(name);
            at = match openat(&at, &name, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) => {
                    mkdirat(&at, &name, Mode::from_raw_mode(0o755)).map_err(failed)?;
                    openat(&at, &name, DIRECTORY, Mode::empty()).map_err(failed)?
                }
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let reason = "goes through a symbolic link or a file, and nothing outside may be reached";
                    return Err(UnpackError::Member { member: member.clone(), reason });
                }
                opened => opened.map_err(failed)?,
            };
        }
        Ok(at)
    }

    /// A handle on the directory `path`; `None` where it is none.
    fn open_directory(&self, path: &RelPath) -> Result<Option<OwnedFd>, UnpackError> {
        let mut at = self.root.try_clone().map_err(odd)?;
        for name in path.components() {
            at = match openat(&at, name_of(name), DIRECTORY, Mode::empty()) {
                Ok(opened) => opened,
                Err(_) => return Ok(None),
            };
        }
        Ok(Some(at))
    }

    /// Gives the directories their modes and times.
    fn finish(mut self) -> Result<Unpacked, UnpackError> {
        while let Some((path, mode, times)) = self.directories.pop() {
            // A later member may have taken its place.
            let Some(directory) = self.open_directory(&path)? else { continue };
            let failed = |errno: Errno| self.io("finish", &path, errno);
            fchmod(&directory, mode).map_err(failed)?;
            futimens(&directory, &times).map_err(failed)?;
        }
        Ok(self.done)
    }

    fn io(&self, action: &'static str, path: &RelPath, errno: Errno) -> UnpackError {
        UnpackError::Io { action, path: self.shown(path), source: errno.into() }
    }

    fn shown(&self, path: &RelPath) -> PathBuf {
        self.folder.join(path.to_string())
    }
}

fn is_directory(parent: BorrowedFd<'_>, name: &CString) -> bool {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn mode(member: &Member) -> Mode {
    #[allow(clippy::useless_conversion, reason = "the width of a mode differs between systems")]
    Mode::from_raw_mode((member.mode & 0o7777).try_into().unwrap_or(0o600))
}

fn times(member: &Member) -> Timestamps {
    let time = Timespec { tv_sec: member.modified, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// A name for the operating system. The reader has refused any NUL.
fn name_of(name: &[u8]) -> CString {
    CString::new(name).unwrap_or_default()
}

fn odd(error: io::Error) -> UnpackError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => error.to_string(),
    };
    UnpackError::Odd { reason }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;

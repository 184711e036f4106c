//! Puts the members of an archive into a folder, and never outside it.
//!
//! Every name is looked up in the directory that holds it, by a handle on that directory, and no symbolic link is
//! followed: a member that would go through one is refused.

use std::{
    ffi::CString,
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, chmodat, fchmod, futimens, linkat, mkdirat,
        mknodat, openat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    reader::{Member, MemberKind},
    unpack::{UnpackError, odd},
};
use crate::context::RelPath;

/// How a directory is opened: only if it is one.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder that is filled.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    folder: &'p Path,
    root: OwnedFd,
    /// The directory that the last member went to.
    parent: Option<(RelPath, OwnedFd)>,
    /// Directories get their modes and times at the end, when nothing is put into them any more.
    directories: Vec<(RelPath, Mode, Timestamps)>,
}

impl<'p> Place<'p> {
    pub(crate) fn open(folder: &'p Path) -> Result<Self, UnpackError> {
        let root = rustix::fs::open(folder, DIRECTORY, Mode::empty()).map_err(|errno| UnpackError::Io {
            action: "open",
            path: folder.to_owned(),
            source: errno.into(),
        })?;
        Ok(Self { folder, root, parent: None, directories: Vec::new() })
    }

    /// Makes a member. The bytes of a file are written by `fill`. Says whether it was made: a device is not.
    pub(crate) fn take(
        &mut self,
        member: &Member,
        fill: impl FnOnce(&mut File) -> Result<(), UnpackError>,
    ) -> Result<bool, UnpackError> {
        let Some((above, name)) = member.path.split() else { return Ok(true) };
        let name = name_of(name);
        let parent = match self.parent.take() {
            Some(parent) if parent.0 == above => parent,
            _ => {
                let handle = self.make_directories(&member.path, &above)?;
                (above, handle)
            }
        };
        let made = self.make(member, parent.1.as_fd(), &name, fill);
        self.parent = Some(parent);
        made
    }

    fn make(
        &mut self,
        member: &Member,
        parent: BorrowedFd<'_>,
        name: &CString,
        fill: impl FnOnce(&mut File) -> Result<(), UnpackError>,
    ) -> Result<bool, UnpackError> {
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
                fill(&mut file)?;
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
            MemberKind::CharDevice { .. } | MemberKind::BlockDevice { .. } => return Ok(false),
        }
        Ok(true)
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
    pub(crate) fn finish(mut self) -> Result<(), UnpackError> {
        while let Some((path, mode, times)) = self.directories.pop() {
            // A later member may have taken its place.
            let Some(directory) = self.open_directory(&path)? else { continue };
            let failed = |errno: Errno| self.io("finish", &path, errno);
            fchmod(&directory, mode).map_err(failed)?;
            futimens(&directory, &times).map_err(failed)?;
        }
        Ok(())
    }

    fn io(&self, action: &'static str, path: &RelPath, errno: Errno) -> UnpackError {
        UnpackError::Io { action, path: self.shown(path), source: errno.into() }
    }

    pub(super) fn shown(&self, path: &RelPath) -> PathBuf {
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

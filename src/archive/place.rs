//! Puts the members of an archive into a folder, and never outside it.
//!
//! No symbolic link is followed: a member that would go through one is refused.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use super::{
    reader::{Member, MemberKind},
    unpack::{UnpackError, odd},
};
use crate::{
    context::{Kind, RelPath},
    folder::{Finish, Folder, Name, Refused, finish_file, name_of},
};

/// Without these bits, an ordinary user could neither fill nor remove a directory.
const OF_OWNER: u32 = 0o700;

/// A folder that is filled.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    folder: &'p Path,
    root: Folder,
    /// The directory that the last member went to.
    parent: Option<(RelPath, Folder)>,
    /// Directories get their modes and times at the end, when nothing is put into them any more.
    directories: Vec<(RelPath, Finish)>,
}

impl<'p> Place<'p> {
    pub(crate) fn open(folder: &'p Path) -> Result<Self, UnpackError> {
        let failed = |source| UnpackError::Io { action: "open", path: folder.to_owned(), source };
        let root = Folder::open(folder).map_err(failed)?;
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
        let made = self.make(member, &parent.1, &name, fill);
        self.parent = Some(parent);
        made
    }

    fn make(
        &mut self,
        member: &Member,
        parent: &Folder,
        name: &Name,
        fill: impl FnOnce(&mut File) -> Result<(), UnpackError>,
    ) -> Result<bool, UnpackError> {
        let failed = |refused: Refused| self.io("make", &member.path, refused);
        let finish = Finish { mode: member.mode, modified: (member.modified, 0) };
        match &member.kind {
            MemberKind::Directory => {
                match parent.make_directory(name, OF_OWNER) {
                    Err(Refused::InTheWay) if is_directory(parent, name) => {}
                    Err(Refused::InTheWay) => {
                        self.clear(member, parent, name)?;
                        parent.make_directory(name, OF_OWNER).map_err(failed)?;
                    }
                    made => made.map_err(failed)?,
                }
                let finish = Finish { mode: finish.mode | OF_OWNER, ..finish };
                self.directories.push((member.path.clone(), finish));
            }
            MemberKind::File => {
                self.clear(member, parent, name)?;
                let mut file = parent.make_file(name).map_err(failed)?;
                fill(&mut file)?;
                finish_file(&file, finish).map_err(|refused| self.io("finish", &member.path, refused))?;
            }
            MemberKind::Symlink(target) => {
                self.clear(member, parent, name)?;
                parent.make_link(name, target, finish).map_err(failed)?;
            }
            MemberKind::Hardlink(target) => self.link(member, target, parent, name)?,
            MemberKind::Fifo => {
                self.clear(member, parent, name)?;
                parent.make_pipe(name, finish).map_err(failed)?;
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
        parent: &Folder,
        name: &Name,
    ) -> Result<(), UnpackError> {
        if *target == member.path {
            return Ok(());
        }
        let refuse = |reason| UnpackError::Member { member: member.path.clone(), reason };
        let missing = "is a hard link to something that did not come before it";
        let (above, old) = target.split().ok_or_else(|| refuse("is a hard link to a directory"))?;
        let old = name_of(old);
        let folder = self.open_directory(&above)?.ok_or_else(|| refuse(missing))?;
        match folder.look(&old) {
            Ok(Some(there)) if there.kind == Kind::Directory => {
                return Err(refuse("is a hard link to a directory"));
            }
            Ok(_) => {}
            Err(_) => return Err(refuse(missing)),
        }
        self.clear(member, parent, name)?;
        folder.link(&old, parent, name).map_err(|refused| self.io("link", &member.path, refused))
    }

    /// Removes what an earlier member has put where this one goes.
    fn clear(&self, member: &Member, parent: &Folder, name: &Name) -> Result<(), UnpackError> {
        let reason = "would replace a directory that is not empty";
        match parent.clear(name) {
            Err(Refused::InTheWay) => Err(UnpackError::Member { member: member.path.clone(), reason }),
            cleared => cleared.map_err(|refused| self.io("replace", &member.path, refused)),
        }
    }

    /// A handle on the directory `path`, which is made with its parents where it is missing.
    fn make_directories(&self, member: &RelPath, path: &RelPath) -> Result<Folder, UnpackError> {
        let failed = |refused: Refused| self.io("make the folder of", member, refused);
        let mut at = self.root.again().map_err(odd)?;
        for name in path.components() {
            let name = name_of(name);
            at = match at.directory(&name) {
                Err(Refused::Missing) => {
                    at.make_directory(&name, 0o755).map_err(failed)?;
                    at.directory(&name).map_err(failed)?
                }
                Err(Refused::Replaced) => {
                    let reason = "goes through a symbolic link or a file, and nothing outside may be reached";
                    return Err(UnpackError::Member { member: member.clone(), reason });
                }
                opened => opened.map_err(failed)?,
            };
        }
        Ok(at)
    }

    /// A handle on the directory `path`; `None` where it is none.
    fn open_directory(&self, path: &RelPath) -> Result<Option<Folder>, UnpackError> {
        let mut at = self.root.again().map_err(odd)?;
        for name in path.components() {
            at = match at.directory(&name_of(name)) {
                Ok(opened) => opened,
                Err(_) => return Ok(None),
            };
        }
        Ok(Some(at))
    }

    /// Gives the directories their modes and times.
    pub(crate) fn finish(mut self) -> Result<(), UnpackError> {
        while let Some((path, finish)) = self.directories.pop() {
            // A later member may have taken its place.
            let Some(directory) = self.open_directory(&path)? else { continue };
            directory.finish(finish).map_err(|refused| self.io("finish", &path, refused))?;
        }
        Ok(())
    }

    fn io(&self, action: &'static str, path: &RelPath, refused: Refused) -> UnpackError {
        UnpackError::Io { action, path: self.shown(path), source: refused.into() }
    }

    pub(super) fn shown(&self, path: &RelPath) -> PathBuf {
        self.folder.join(path.to_string())
    }
}

fn is_directory(parent: &Folder, name: &Name) -> bool {
    parent.look(name).is_ok_and(|seen| seen.is_some_and(|seen| seen.kind == Kind::Directory))
}

//! What a step changed: the difference between a directory tree and what was there before.
//!
//! Source: BuildKit's `util/overlay`, whose layers have the same entries: what was only copied up is left out.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::Path,
};

use super::compare::is_same;
use crate::archive::DEEPEST;

/// One change.
pub(super) enum Change<'c> {
    /// There is something new at a path below the root, or it is different.
    Put(&'c [u8], &'c Metadata),
    /// What was at a path is gone.
    Delete(&'c [u8]),
}

/// Two trees to compare.
pub(super) struct Trees<'t> {
    /// What is there now. Where it is partial, it holds only what was touched, as the upper directory of an overlay.
    pub(super) now: &'t Path,
    /// What was there before.
    pub(super) before: &'t Path,
    /// Whether `now` is such a directory.
    pub(super) partial: bool,
}

impl Trees<'_> {
    /// Calls `report` for each change, in the order of names, directories before what is in them.
    pub(super) fn compare<E: From<io::Error>>(
        &self,
        report: &mut dyn FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.directory(&[], !self.partial, report)
    }

    fn directory<E: From<io::Error>>(
        &self,
        path: &[u8],
        whole: bool,
        report: &mut dyn FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        // Whoever reads the layer takes no deeper path, and here each level takes some of the stack.
        if path.split(|byte| *byte == b'/').count() > DEEPEST {
            let reason = format!("there are folders more than {DEEPEST} levels deep");
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, reason).into());
        }
        let (now, before) = (at(self.now, path), at(self.before, path));
        let mut names = list(&now)?;
        if whole {
            names.extend(list(&before).or_else(absent)?);
        }
        for name in names {
            let path = child(path, &name);
            let (there, before) = (look(&at(self.now, &path))?, look(&at(self.before, &path))?);
            let Some(there) = there.filter(|there| !is_whiteout(there)) else {
                if before.is_some() {
                    report(Change::Delete(&path))?;
                }
                continue;
            };
            let same = match &before {
                // A new name of the file makes a hard link, and both names belong into the layer.
                Some(before) if there.is_file() && there.nlink() > 1 && self.partial => {
                    before.nlink() == there.nlink() && self.is_same(&path, before, &there)?
                }
                Some(before) => self.is_same(&path, before, &there)?,
                None => false,
            };
            if !same {
                report(Change::Put(&path, &there))?;
            }
            if there.is_dir() {
                // Nothing below is left of what was deleted before.
                let hides =
                    whole || before.is_some_and(|before| before.is_dir()) && is_opaque(&at(self.now, &path))?;
                self.directory(&path, hides, report)?;
            }
        }
        Ok(())
    }
}

impl Trees<'_> {
    fn is_same(&self, path: &[u8], before: &Metadata, now: &Metadata) -> io::Result<bool> {
        // What an overlay holds was touched: the times of two files that were written in the same moment are equal,
        // and one may have been renamed to the other.
        is_same((&at(self.before, path), before), (&at(self.now, path), now), self.partial)
    }
}

fn list(folder: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

fn look(path: &Path) -> io::Result<Option<Metadata>> {
    fs::symlink_metadata(path).map(Some).or_else(absent)
}

fn absent<T: Default>(error: io::Error) -> io::Result<T> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(T::default()),
        _ => Err(error),
    }
}

/// A deletion in the upper directory of an overlay.
///
/// Source: Linux, `Documentation/filesystems/overlayfs.rst`, "whiteouts and opaque directories".
fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn is_opaque(folder: &Path) -> io::Result<bool> {
    for name in ["trusted.overlay.opaque", "user.overlay.opaque"] {
        let mut value = [0; 1];
        match rustix::fs::lgetxattr(folder, name, &mut value) {
            Ok(1) if value == *b"y" => return Ok(true),
            Ok(_)
            | Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

pub(super) fn at(root: &Path, path: &[u8]) -> std::path::PathBuf {
    root.join(OsStr::from_bytes(path))
}

fn child(path: &[u8], name: &OsStr) -> Vec<u8> {
    if path.is_empty() { name.as_bytes().to_vec() } else { [path, name.as_bytes()].join(&b'/') }
}

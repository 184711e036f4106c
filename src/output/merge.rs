//! Moves a tree of files into a folder in which something may be.
//!
//! No symbolic link is followed: one that stands in the way is replaced like a file.

use std::path::{Path, PathBuf};

use super::error::OutputError;
use crate::{
    context::Kind,
    folder::{Finish, Folder, Name, Refused, name_of},
};

/// A directory that both trees have.
struct Shared {
    names: Vec<Name>,
    finish: Finish,
}

/// Moves everything in `from` to `to`, on the same file system. Directories that both have are put together.
pub(super) fn merge(from: &Path, to: &Path) -> Result<(), OutputError> {
    let open = |path: &Path| Folder::open(path).map_err(OutputError::io(path));
    let (source, target) = (open(from)?, open(to)?);
    let mut open = vec![Vec::new()];
    let mut shared: Vec<Shared> = Vec::new();
    while let Some(names) = open.pop() {
        let (shown_old, shown) = (shown(from, &names), shown(to, &names));
        let old = descend(&source, &names).map_err(io(&shown_old))?;
        let new = descend(&target, &names).map_err(io(&shown))?;
        for name in old.names().map_err(io(&shown_old))? {
            let at = shown.join(String::from_utf8_lossy(name.to_bytes()).as_ref());
            let Some(seen) = old.look(&name).map_err(io(&shown_old))? else { continue };
            let is_directory = seen.kind == Kind::Directory;
            let stands = match new.look(&name) {
                Ok(there) => Some(there.is_some_and(|there| there.kind == Kind::Directory)),
                Err(_) => None,
            };
            match (is_directory, stands) {
                (true, Some(true)) => {
                    let modified = (seen.stamp.modified.seconds, seen.stamp.modified.nanoseconds);
                    let names: Vec<Name> = names.iter().cloned().chain([name]).collect();
                    let finish = Finish { mode: seen.mode, modified };
                    shared.push(Shared { names: names.clone(), finish });
                    open.push(names);
                    continue;
                }
                (true, Some(false)) => new.clear(&name).map_err(io(&at))?,
                (false, Some(true)) => {
                    new.clear(&name).map_err(|_| OutputError::InTheWay { path: at.clone() })?;
                }
                (_, Some(false) | None) => {}
            }
            old.rename(&name, &new, &name).map_err(io(&at))?;
        }
    }
    // A directory gets its time when nothing is put into it any more.
    for Shared { names, finish } in shared.into_iter().rev() {
        let shown = shown(to, &names);
        let directory = descend(&target, &names).map_err(io(&shown))?;
        directory.finish(finish).map_err(io(&shown))?;
    }
    Ok(())
}

/// A handle on a directory below `root`, through directories alone.
fn descend(root: &Folder, names: &[Name]) -> Result<Folder, Refused> {
    let mut at = root.directory(&name_of(b"."))?;
    for name in names {
        at = at.directory(name)?;
    }
    Ok(at)
}

fn shown(folder: &Path, names: &[Name]) -> PathBuf {
    names.iter().fold(folder.to_owned(), |path, name| path.join(&*String::from_utf8_lossy(name.to_bytes())))
}

fn io(path: &Path) -> impl FnOnce(Refused) -> OutputError {
    let path = path.to_owned();
    |refused| OutputError::Io { path, source: refused.into() }
}

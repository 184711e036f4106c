//! Removes one thing, if nobody uses it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    entry::{Entry, Removal},
    scan::GONE,
};
use crate::{backend::hcs::LayerRemoved, held::Lock, removal::remove_folder};

/// What became of an entry.
#[derive(Debug)]
pub(super) enum Removed {
    /// It is gone.
    Done,
    /// Somebody uses it.
    InUse,
    /// Something that stays rests on it.
    Below,
    /// It has another name, under which nobody finds it, and still takes its space: some of it belongs to other
    /// users.
    Denied(Vec<PathBuf>),
}

/// Removes an entry, if nobody uses it.
pub(super) fn remove(entry: &Entry) -> io::Result<Removed> {
    let path = &entry.path;
    match &entry.removal {
        Removal::File => absent(fs::remove_file(path)).map(|()| Removed::Done),
        Removal::Lock => {
            let Some(_held) = lock(path)? else { return Ok(Removed::InUse) };
            absent(fs::remove_file(path)).map(|()| Removed::Done)
        }
        Removal::Folder => folders(vec![path.clone()]),
        Removal::Locked { lock: path_of_lock, lock_goes } => {
            let Some(held) = lock(path_of_lock)? else { return Ok(Removed::InUse) };
            let gone = set_aside(path)?;
            if *lock_goes {
                // Who waits for it looks whether it is still there when it gets it.
                absent(fs::remove_file(path_of_lock))?;
            }
            drop(held);
            folders(gone.into_iter().collect())
        }
        Removal::Worker => {
            let Some(held) = lock(&path.join("lock"))? else { return Ok(Removed::InUse) };
            if path.join("dirty").exists() {
                // Things may still be mounted there; the next build cleans it up.
                return Ok(Removed::InUse);
            }
            let mut gone = Vec::new();
            for part in ["root", "run", "tmp"] {
                gone.extend(set_aside(&path.join(part))?);
            }
            absent(fs::remove_file(path.join("shared")))?;
            drop(held);
            folders(gone)
        }
        Removal::WindowsLayer(layers) => layers.remove(path).map(|removed| match removed {
            LayerRemoved::Done => Removed::Done,
            LayerRemoved::InUse => Removed::InUse,
            LayerRemoved::Below => Removed::Below,
        }),
    }
}

/// Locks a file; `None` when somebody else does. A lock that is not there is made.
fn lock(path: &Path) -> io::Result<Option<Lock>> {
    Lock::attempt(File::options().create(true).truncate(false).write(true).open(path)?)
}

/// Gives a folder a name under which nobody looks for it, as one step. In its own folder: it may belong to another
/// user, and then it can go nowhere else.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    let folder = path.parent().unwrap_or(path);
    let target = tempfile::Builder::new().prefix(GONE).tempdir_in(folder)?.keep();
    if cfg!(windows) {
        // Not every Windows replaces a folder, even one that is empty.
        fs::remove_dir(&target)?;
    }
    match fs::rename(path, &target) {
        Ok(()) => Ok(Some(target)),
        Err(error) => {
            absent(fs::remove_dir(&target))?;
            absent(Err(error)).map(|()| None)
        }
    }
}

/// Removes folders that nobody knows any more.
fn folders(folders: Vec<PathBuf>) -> io::Result<Removed> {
    let mut denied = Vec::new();
    for folder in folders {
        match absent(remove_folder(&folder)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied.push(folder),
            removed => removed?,
        }
    }
    Ok(if denied.is_empty() { Removed::Done } else { Removed::Denied(denied) })
}

/// What is not there need not go.
fn absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::entry::Kind;
    use std::{collections::BTreeSet, time::SystemTime};

    fn entry(path: PathBuf, removal: Removal) -> Entry {
        let (bytes, used, blobs) = (0, SystemTime::UNIX_EPOCH, BTreeSet::new());
        Entry { kind: Kind::Snapshot, path, bytes, used, removal, blobs }
    }

    #[test]
    fn a_folder_goes_whole_and_only_when_nobody_holds_its_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, lock) = (folder.path().join("a"), folder.path().join("a.lock"));
        fs::create_dir_all(path.join("fs/deep")).expect("made");
        let held = File::create(&lock).expect("a lock");
        held.lock_shared().expect("locked");
        let entry = entry(path.clone(), Removal::Locked { lock: lock.clone(), lock_goes: true });
        assert!(matches!(remove(&entry), Ok(Removed::InUse)));
        assert!(path.join("fs/deep").exists());
        drop(held);
        assert!(matches!(remove(&entry), Ok(Removed::Done)));
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0);
        assert!(matches!(remove(&entry), Ok(Removed::Done)), "what is gone need not go");
    }

    #[test]
    fn a_worker_that_is_not_cleaned_up_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0");
        fs::create_dir_all(path.join("root/cache")).expect("made");
        fs::write(path.join("dirty"), "").expect("written");
        let entry = entry(path.clone(), Removal::Worker);
        assert!(matches!(remove(&entry), Ok(Removed::InUse)));
        fs::remove_file(path.join("dirty")).expect("removed");
        assert!(matches!(remove(&entry), Ok(Removed::Done)));
        assert!(!path.join("root").exists() && path.join("lock").exists());
    }
}

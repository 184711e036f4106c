//! Folders in which something is made beside the place where it will be.
//!
//! A draft is locked while whoever makes it lives. A killed process leaves its draft, under a name that says what it
//! is, and the next one that makes a draft in the same place removes it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    held::{self, Held},
    removal::remove_folder,
};

/// How the name of a draft begins.
const PREFIX: &str = ".polyarch-draft-";

/// A new folder of this process alone, which goes with everything in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: PathBuf,
    /// Absent where folders cannot be locked, and then nobody takes a draft for an old one either.
    lock: Option<Held>,
}

impl Draft {
    /// Makes a draft in `parent`, and removes those that killed processes have left there.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let lock = match held::hold(folder.path()) {
                // Whoever removes old ones has it, and may have removed it before the lock.
                Ok(None) => continue,
                held => held.ok().flatten(),
            };
            if folder.path().exists() {
                return Ok(Self { folder: folder.keep(), lock });
            }
        }
    }

    /// The folder, which only this user can look into.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Windows removes no folder that is held. Whoever sees it free now does the same.
        self.lock = None;
        let _ = remove_folder(&self.folder);
    }
}

/// Removes the drafts of processes that are gone. What cannot be removed stays: it takes space and does no other harm.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_draft = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_draft && let Ok(Some(held)) = held::hold(&entry.path()) {
            let _ = remove_free(&entry.path(), held);
        }
    }
}

/// Removes a folder that is held for this.
#[cfg(unix)]
fn remove_free(folder: &Path, held: Held) -> io::Result<()> {
    let removed = remove_folder(folder);
    drop(held);
    removed
}

/// Removes a folder that was held for this. Windows removes none that is held; nor does it rename one, so that whoever
/// holds it by now keeps it.
#[cfg(windows)]
fn remove_free(folder: &Path, held: Held) -> io::Result<()> {
    drop(held);
    let parent = folder.parent().unwrap_or(folder);
    let aside = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?.keep();
    fs::remove_dir(&aside)?;
    fs::rename(folder, &aside)?;
    remove_folder(&aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_of_a_process_that_is_gone_is_removed_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let dead = folder.path().join(format!("{PREFIX}dead"));
        fs::create_dir_all(dead.join("a/b")).expect("made");
        fs::write(dead.join("a/b/c"), "c").expect("written");
        let mine = folder.path().join(".polyarch-mine");
        fs::create_dir(&mine).expect("made");
        let first = Draft::new(folder.path()).expect("a draft");
        assert!(!dead.exists(), "what a killed process left is still there");
        let second = Draft::new(folder.path()).expect("a draft");
        assert!(first.path().exists() && second.path().exists() && mine.exists());
        drop((first, second));
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }

    #[test]
    fn drafts_that_are_made_at_the_same_time_are_all_there() {
        let folder = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let draft = Draft::new(folder.path()).expect("a draft");
                        fs::write(draft.path().join("file"), "x").expect("the draft is there");
                        std::thread::yield_now();
                        assert!(draft.path().join("file").exists(), "another took it away");
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0);
    }
}

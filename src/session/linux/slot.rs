//! Slots: folders for temporary files that one guard uses at a time.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::{
    guard::{Cleanup, Emptied},
    oci::digest_of,
};

/// The most slots: more steps at once than any machine has use for.
const MOST: u32 = 4096;

/// A folder that only this process's guard uses while it holds the lock.
#[derive(Debug)]
pub(super) struct Slot {
    folder: PathBuf,
    lock: File,
}

impl Slot {
    /// Takes a slot in `folder` that nobody uses, in this process or another.
    pub(super) fn take(folder: &Path) -> io::Result<Self> {
        let folder = folder.join("slots");
        private(&folder)?;
        for number in 0..MOST {
            let folder = folder.join(number.to_string());
            private(&folder.join("work"))?;
            let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { folder, lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("all {MOST} slots are in use")))
    }

    /// Another handle on the lock, which holds it as well.
    pub(super) fn held(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// What a guard empties.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where the helper of a step keeps everything.
    pub(super) fn scratch(&self) -> PathBuf {
        self.work().join("step")
    }

    /// The name of the control group of its steps.
    pub(super) fn cgroup(&self) -> String {
        format!("polyarch-{}", digest_of(self.folder.as_os_str().as_encoded_bytes()).short())
    }

    /// Whether a guard was killed before it could clean up.
    pub(super) fn is_dirty(&self) -> bool {
        fs::read_dir(self.work()).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// What removes everything that steps leave here, however they ended.
    pub(super) fn cleanup(&self) -> Cleanup {
        let emptied = Emptied { folder: self.work(), keep_prefix: None, only_after_kill: false };
        let cgroups = vec![self.cgroup(), limited(&self.cgroup())];
        Cleanup { empty: vec![emptied], cgroups, ..Cleanup::default() }
    }
}

/// The name of the control groups of a step that has limits of its own, besides that on processes.
pub(super) fn limited(cgroup: &str) -> String {
    format!("{cgroup}-limited")
}

/// Makes a folder that nobody else can look into: what images hold may be set-user-ID programs.
pub(super) fn private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

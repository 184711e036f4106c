//! Files and folders that belong to a living process.
//!
//! A process holds its folder as long as it lives, whatever ends it; a folder that nobody holds may be removed.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    ops::Deref,
    path::Path,
};

/// A file that is locked until this is dropped, or until the process ends.
///
/// To close the file is not enough: a child that another thread is starting has a copy of every handle until its
/// program begins, and a lock lives as long as the last of them. So this unlocks, and a lock that a child is meant to
/// hold as well is none of these.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Locks a file; `None` when somebody else does.
    pub(crate) fn attempt(file: File) -> io::Result<Option<Self>> {
        let locked = file.try_lock();
        Self::locked(file, locked)
    }

    /// Locks a file together with others that share it; `None` when somebody has it alone.
    pub(crate) fn share(file: File) -> io::Result<Option<Self>> {
        let locked = file.try_lock_shared();
        Self::locked(file, locked)
    }

    /// Locks a file as soon as nobody else does.
    pub(crate) fn wait(file: File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self(file))
    }

    fn locked(file: File, locked: Result<(), TryLockError>) -> io::Result<Option<Self>> {
        match locked {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Deref for Lock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing unlocks as well, if nobody has a copy.
        let _ = self.0.unlock();
    }
}

/// What keeps a folder.
#[cfg(unix)]
pub(crate) type Held = Lock;
/// What keeps a folder.
#[cfg(windows)]
pub(crate) type Held = File;

/// Holds a folder for this process; `None` when another one does. Dropping the result lets go of it.
#[cfg(unix)]
pub(crate) fn hold(folder: &Path) -> io::Result<Option<Held>> {
    Lock::attempt(OpenOptions::new().read(true).open(folder)?)
}

/// Holds a folder for this process; `None` when another one does. Dropping the result lets go of it.
///
/// Nobody else can open, rename or remove a folder that is open and shared with nobody; what is in it can be.
#[cfg(windows)]
pub(crate) fn hold(folder: &Path) -> io::Result<Option<Held>> {
    use std::os::windows::fs::OpenOptionsExt as _;

    use windows_sys::Win32::{
        Foundation::ERROR_SHARING_VIOLATION,
        Storage::FileSystem::{
            DELETE, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES, FILE_SHARE_READ, FILE_SHARE_WRITE,
        },
    };

    let mut options = OpenOptions::new();
    // Whoever wants to delete shares with nobody who holds it; listing and writing is for everybody.
    options.access_mode(FILE_READ_ATTRIBUTES | DELETE).share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE);
    options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
    match options.open(folder) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == i32::try_from(ERROR_SHARING_VIOLATION).ok() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A child that is being started has every handle of this process for a moment.
    #[cfg(unix)]
    #[test]
    fn what_is_dropped_is_free_though_children_are_being_started() {
        use std::{
            process::Command,
            sync::atomic::{AtomicBool, Ordering},
            thread,
        };

        let folder = tempfile::tempdir().expect("a folder");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Command::new("true").status().expect("a child");
                }
            });
            for turn in 0..20_000 {
                if hold(folder.path()).expect("there").is_none() {
                    done.store(true, Ordering::Relaxed);
                    panic!("turn {turn}: held by nobody but a copy of the handle");
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_folder_is_held_once_and_used_meanwhile() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = hold(folder.path()).expect("there").expect("free");
        assert!(hold(folder.path()).expect("there").is_none(), "held twice");
        fs::write(folder.path().join("a"), "a").expect("written");
        // Wine shares less than Windows with whoever lists a folder.
        #[cfg(unix)]
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
        fs::rename(folder.path().join("a"), folder.path().join("b")).expect("renamed");
        drop(held);
        assert!(hold(folder.path()).expect("there").is_some());
        assert!(hold(&folder.path().join("none")).is_err());
    }
}

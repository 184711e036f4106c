//! Folders that belong to a living process.
//!
//! A process holds its folder as long as it lives, whatever ends it; a folder that nobody holds may be removed.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// Holds a folder for this process; `None` when another one does. Dropping the file lets go of it.
#[cfg(unix)]
pub(crate) fn hold(folder: &Path) -> io::Result<Option<File>> {
    use std::fs::TryLockError;
    let file = OpenOptions::new().read(true).open(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Holds a folder for this process; `None` when another one does. Dropping the file lets go of it.
///
/// Nobody else can open, rename or remove a folder that is open and shared with nobody; what is in it can be.
#[cfg(windows)]
pub(crate) fn hold(folder: &Path) -> io::Result<Option<File>> {
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

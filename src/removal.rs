//! Removes folders that hold anything at all.
//!
//! `std::fs::remove_dir_all` takes a stack frame and an open file for every level, and what a command makes may be
//! deeper than either allows. Here what is too deep is moved to the top first, and its turn comes later.

use std::{io, path::Path};

/// Removes a folder with everything in it. No symbolic link is followed.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] where there is none; after any error, a part may be gone.
#[cfg(unix)]
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    let handle = rustix::fs::open(folder, deep::DIRECTORY, rustix::fs::Mode::empty())?;
    deep::empty(&handle)?;
    std::fs::remove_dir(folder)
}

/// Removes a folder with everything in it.
#[cfg(not(unix))]
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(folder)
}

#[cfg(unix)]
mod deep {
    use std::{
        ffi::{CStr, CString},
        io,
        os::fd::{AsFd as _, OwnedFd},
    };

    use rustix::{
        fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat},
        io::Errno,
    };

    /// How a directory is opened: only if it is one.
    pub(super) const DIRECTORY: OFlags =
        OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    /// How many levels are open at once.
    const DEEPEST: usize = 64;

    /// A directory that is being emptied.
    struct Level {
        handle: OwnedFd,
        entries: Dir,
        /// What it is called in the one above.
        name: CString,
    }

    impl Level {
        fn new(handle: OwnedFd, name: CString) -> io::Result<Self> {
            let entries = Dir::read_from(&handle)?;
            Ok(Self { handle, entries, name })
        }
    }

    pub(super) fn empty(top: &OwnedFd) -> io::Result<()> {
        let mut moved = 0_u64;
        loop {
            let before = moved;
            pass(top, &mut moved)?;
            if moved == before {
                return Ok(());
            }
        }
    }

    /// Removes everything but what is too deep, which is in `top` afterwards; `moved` counts it.
    fn pass(top: &OwnedFd, moved: &mut u64) -> io::Result<()> {
        let mut levels = vec![Level::new(top.try_clone()?, CString::default())?];
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else { return Ok(()) };
            let Some(entry) = level.entries.next() else {
                let done = levels.pop();
                if let (Some(done), Some(above)) = (done, levels.last()) {
                    unlink(&above.handle, &done.name, AtFlags::REMOVEDIR)?;
                }
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if !is_directory(&level.handle, name, entry.file_type())? {
                unlink(&level.handle, name, AtFlags::empty())?;
            } else if depth < DEEPEST {
                let inner = open(&level.handle, name)?;
                let inner = Level::new(inner, name.to_owned())?;
                levels.push(inner);
            } else {
                set_aside(&level.handle, name, top, moved)?;
            }
        }
    }

    /// Removes one name; whoever else did so is as good.
    fn unlink(folder: &OwnedFd, name: &CStr, flags: AtFlags) -> io::Result<()> {
        match unlinkat(folder, name, flags) {
            Err(Errno::NOENT) => Ok(()),
            done => Ok(done?),
        }
    }

    fn is_directory(folder: &OwnedFd, name: &CStr, kind: FileType) -> io::Result<bool> {
        let kind = match kind {
            FileType::Unknown => {
                FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            kind => kind,
        };
        Ok(kind == FileType::Directory)
    }

    fn open(folder: &OwnedFd, name: &CStr) -> io::Result<OwnedFd> {
        Ok(openat(folder.as_fd(), name, DIRECTORY, Mode::empty())?)
    }

    /// Moves a directory to the top, under a name that nothing has there.
    fn set_aside(folder: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> io::Result<()> {
        loop {
            *moved += 1;
            let aside = CString::new(format!("deep-{moved}"))?;
            match statat(top, &aside, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => {}
                Err(Errno::NOENT) => return Ok(renameat(folder, name, top, &aside)?),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_folder_deeper_than_any_path_goes_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().join("top");
        fs::create_dir(&top).expect("made");
        fs::write(folder.path().join("kept"), "x").expect("written");
        symlink("..", top.join("out")).expect("linked");
        fs::create_dir(top.join("deep-1")).expect("made");
        let mut at = rustix::fs::open(&top, deep::DIRECTORY, rustix::fs::Mode::empty()).expect("opened");
        for _ in 0..30_000 {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).expect("made");
            rustix::fs::mkdirat(&at, "e", rustix::fs::Mode::RWXU).expect("made");
            at = rustix::fs::openat(&at, "d", deep::DIRECTORY, rustix::fs::Mode::empty()).expect("opened");
        }
        remove_folder(&top).expect("removed");
        assert!(!top.exists());
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
        assert_eq!(remove_folder(&top).expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}

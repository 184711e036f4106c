//! The lock of the one process that runs builds.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::FolderError;
#[cfg(unix)]
use super::private;
use crate::held::Held;
#[cfg(unix)]
use crate::held::Lock;

/// The most bytes of a process id that are read.
const LONGEST_PROCESS_ID: u64 = 20;

/// Held by the one process that runs the builds of a folder. Whatever ends the process lets go of it.
#[derive(Debug)]
pub struct RunLock {
    _held: Held,
}

impl RunLock {
    /// Holds the file `path`, with the id of this process in it.
    pub(super) fn hold(path: &Path) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::unusable(path, source);
        let Some(held) = open(path).map_err(unusable)? else {
            return Err(FolderError::InUse { folder: folder_of(path), process: process_in(path) });
        };
        let mut file: &File = &held;
        file.set_len(0).map_err(unusable)?;
        file.rewind().map_err(unusable)?;
        write!(file, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { _held: held })
    }
}

/// Opens and holds the file; `None` when another process does.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<Option<Held>> {
    Lock::attempt(private::open_file(path)?)
}

/// Opens and holds the file; `None` when another process does.
///
/// A lock would keep others from reading whose it is; whoever opens it to write it shares that with nobody.
#[cfg(windows)]
fn open(path: &Path) -> io::Result<Option<Held>> {
    use std::os::windows::fs::OpenOptionsExt as _;

    use windows_sys::Win32::{Foundation::ERROR_SHARING_VIOLATION, Storage::FileSystem::FILE_SHARE_READ};

    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).share_mode(FILE_SHARE_READ);
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == i32::try_from(ERROR_SHARING_VIOLATION).ok() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whose lock it is; absent in the moment between holding and saying so.
fn process_in(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST_PROCESS_ID).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

//! Folders and files that only this user may see.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

/// Makes a folder that only this user may enter, and those above it. One that is there stays as it is.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens a file for reading and writing, which is made where it is missing, for this user alone.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    for_this_user().create(true).truncate(false).open(path)
}

/// Makes an empty file for this user alone where there is none. One that is there is not opened: closing it would give up
/// the locks that this process has on it.
pub(super) fn make_file(path: &Path) -> io::Result<()> {
    match for_this_user().create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn for_this_user() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

//! Files that are whole or not there.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use tempfile::NamedTempFile;

use crate::oci::make_readable;

/// Writes a file at once, so that nobody reads half of one, unless it is a pipe or a device.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A rename would put a file in the place of a device, or of a link such as /dev/stdout.
    let target = match fs::metadata(path) {
        Ok(there) if !there.is_file() => return fs::write(path, bytes),
        Ok(_) => path.canonicalize()?,
        Err(_) => path.to_owned(),
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut draft = tempfile::Builder::new().prefix(".polyarch-").tempfile_in(folder)?;
    draft.write_all(bytes)?;
    make_readable(draft.as_file())?;
    draft.as_file().sync_all()?;
    put_in_place(draft, &target)
}

/// Gives a file that is written its name; one that has it goes.
#[cfg(unix)]
pub(crate) fn put_in_place(draft: NamedTempFile, path: &Path) -> io::Result<()> {
    draft.persist(path).map(|_| ()).map_err(|error| error.error)
}

/// Gives a file that is written its name; one that has it goes.
///
/// Windows refuses that while somebody reads the one that goes, which takes no longer than reading a small file.
#[cfg(windows)]
pub(crate) fn put_in_place(draft: NamedTempFile, path: &Path) -> io::Result<()> {
    const TRIES: u32 = 200;
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);
    let draft = draft.into_temp_path();
    for _ in 0..TRIES {
        match fs::rename(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => std::thread::sleep(PAUSE),
            renamed => return renamed,
        }
    }
    fs::rename(&draft, path)
}

/// Makes sure that the names in a folder survive a crash of the machine.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Makes sure that the names in a folder survive a crash of the machine: NTFS does so by itself.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "it is the same everywhere")]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

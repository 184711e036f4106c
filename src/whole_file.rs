//! Files that are whole or not there.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

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
    draft.persist(&target).map_err(|error| error.error)?;
    Ok(())
}

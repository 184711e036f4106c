//! What makes a directory a store.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use super::error::{StoreError, at};
use crate::whole_file::put_in_place;

/// The store's form on disk. A store with a higher number was written by a newer polyarch.
pub(super) const FORMAT: u32 = 1;

/// Refuses what a newer polyarch wrote and what is no store, and marks an empty directory as a store.
pub(super) fn check_format(root: &Path) -> Result<(), StoreError> {
    let path = root.join("polyarch.json");
    let no_store = |reason: String| StoreError::NoStore { path: root.to_owned(), reason };
    match fs::read(&path) {
        Ok(bytes) => {
            let marker: serde_json::Value = serde_json::from_slice(&bytes)
                .map_err(|error| no_store(format!("its polyarch.json is malformed ({error})")))?;
            match marker["format"].as_u64().and_then(|format| u32::try_from(format).ok()) {
                Some(FORMAT) => Ok(()),
                Some(found) if found > FORMAT => Err(StoreError::Newer { path: root.to_owned(), found }),
                _ => Err(no_store("its polyarch.json names no known format".into())),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut entries = fs::read_dir(root).map_err(at("list", root))?;
            // Another process may be making the same store right now: what it makes is no reason to refuse.
            let foreign = entries.find_map(|entry| {
                let name = entry.ok()?.file_name();
                let ours = ["polyarch.json", "oci-layout", "blobs", "names", "tmp", "index.json"];
                let known =
                    name.to_str().is_some_and(|name| ours.contains(&name) || name.starts_with(".tmp"));
                (!known).then_some(name)
            });
            if let Some(foreign) = foreign {
                return Err(no_store(format!(
                    "it holds {}; name an empty or new directory",
                    foreign.display()
                )));
            }
            write_once(root, "polyarch.json", format!("{{\"format\":{FORMAT}}}\n").as_bytes())
        }
        Err(error) => Err(at("read", &path)(error)),
    }
}

/// Writes a file that never changes, unless it is there.
pub(super) fn write_once(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(());
    }
    let mut file =
        tempfile::Builder::new().prefix(".tmp").tempfile_in(folder).map_err(at("write in", folder))?;
    file.write_all(bytes).map_err(at("write", &path))?;
    make_readable(file.as_file()).map_err(at("share", &path))?;
    put_in_place(file, &path).map_err(at("write", &path))
}

/// Temporary files are private by default, but a store may be shared by several users.
#[cfg(unix)]
pub(crate) fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it is the same everywhere")]
pub(crate) fn make_readable(_: &File) -> io::Result<()> {
    Ok(())
}

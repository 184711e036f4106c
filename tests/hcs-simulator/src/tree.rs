//! Trees of files: copied whole, and compared with what they were.

use std::{
    collections::BTreeMap,
    fs::{self, File, FileTimes},
    os::windows::fs::{FileTimesExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde::{Deserialize, Serialize};
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_BACKUP_SEMANTICS, FILE_WRITE_ATTRIBUTES};

use crate::{failure::Outcome, sidecar};

/// By which a file is seen to have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) directory: bool,
    size: u64,
    written: u64,
    attributes: u32,
}

/// What is in a tree, by paths with `\` that are relative to it.
pub(crate) type Stamps = BTreeMap<String, Stamp>;

/// Looks at everything below a folder.
pub(crate) fn stamps(root: &Path) -> Outcome<Stamps> {
    let mut found = Stamps::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!(r"{folder}\{name}") };
            let metadata = fs::symlink_metadata(entry.path())?;
            let directory = metadata.is_dir();
            if directory {
                folders.push(path.clone());
            }
            // The times of a directory change with what is in it, and that is seen by itself.
            let (size, written) =
                if directory { (0, 0) } else { (metadata.file_size(), metadata.last_write_time()) };
            found.insert(path, Stamp { directory, size, written, attributes: metadata.file_attributes() });
        }
    }
    Ok(found)
}

/// Copies everything below a folder into another one, which may exist, with its times and with what is beside it.
pub(crate) fn copy(state: &Path, from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    let mut folders = vec![(from.to_path_buf(), to.to_path_buf())];
    let mut done = Vec::new();
    while let Some((from, to)) = folders.pop() {
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type()?.is_dir() {
                fs::create_dir(&to)?;
                folders.push((from.clone(), to.clone()));
            } else {
                fs::copy(&from, &to)?;
            }
            sidecar::save(state, &to, sidecar::load(state, &from))?;
        }
        done.push((from, to));
    }
    // Those that were found last are deepest.
    for (from, to) in done.iter().rev() {
        set_times(to, &fs::metadata(from)?)?;
    }
    Ok(())
}

fn set_times(path: &Path, like: &fs::Metadata) -> Outcome<()> {
    let file: File = fs::OpenOptions::new()
        .access_mode(FILE_WRITE_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(path)?;
    let times = FileTimes::new()
        .set_created(like.created()?)
        .set_accessed(like.accessed()?)
        .set_modified(like.modified()?);
    Ok(file.set_times(times)?)
}

/// Removes a file or a whole folder, if it is there.
pub(crate) fn remove(path: &Path) -> Outcome<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(fs::remove_dir_all(path)?),
        Ok(metadata) => {
            let mut permissions = metadata.permissions();
            if permissions.readonly() {
                // On Windows this is the one attribute, and not a permission for the whole world.
                #[expect(clippy::permissions_set_readonly_false, reason = "there are no permissions here")]
                permissions.set_readonly(false);
                fs::set_permissions(path, permissions)?;
            }
            Ok(fs::remove_file(path)?)
        }
        Err(_) => Ok(()),
    }
}

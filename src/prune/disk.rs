//! How much space things take.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

/// How many bytes of the disk a folder takes, with everything in it. What this user may not look into counts as
/// nothing.
pub(crate) fn size(folder: &Path) -> u64 {
    let mut total = 0;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            total += taken(&found);
            if found.is_dir() {
                open.push(entry.path());
            }
        }
    }
    total
}

/// How many bytes are free on the disk of a folder.
pub(super) fn free(folder: &Path) -> io::Result<u64> {
    fs4::available_space(folder)
}

/// How many bytes of the disk one file or directory takes.
#[cfg(unix)]
fn taken(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    // The kernel counts in pieces of 512 bytes, and a file with several names several times here.
    found.blocks() * 512 / if found.is_dir() { 1 } else { found.nlink().max(1) }
}

/// How many bytes of the disk one file or directory takes.
#[cfg(windows)]
fn taken(found: &fs::Metadata) -> u64 {
    use std::os::windows::fs::MetadataExt as _;

    use windows_sys::Win32::Storage::FileSystem::FILE_ATTRIBUTE_REPARSE_POINT;
    // What is in a file of a layer below stands in its place with its length, and takes nothing.
    if found.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT == 0 { found.len() } else { 0 }
}

/// When a file was last changed; at the beginning of time where that is not known.
pub(super) fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// How long something was not used.
pub(super) fn unused_for(used: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(used).unwrap_or_default()
}

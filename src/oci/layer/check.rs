//! What no layer may hold.

use super::{
    entry::{EntryKind, LayerEntry},
    error::LayerError,
    windows,
};

/// How the names of deletions begin.
///
/// Source: OCI image specification, `layer.md`, "Whiteouts".
pub(super) const WHITEOUT: &[u8] = b".wh.";

/// Refuses what would mean something else to whoever unpacks the layer.
pub(super) fn check(entry: &LayerEntry<'_>) -> Result<(), LayerError> {
    check_path(entry.name)?;
    match entry.kind {
        EntryKind::HardLink { target } => check_path(target)?,
        EntryKind::Symlink { target: b"" } => return Err(refused(entry.name, "a link needs a target")),
        EntryKind::Symlink { target } if target.contains(&0) => {
            return Err(refused(target, "it has a NUL"));
        }
        _ => {}
    }
    let odd = entry
        .xattrs
        .iter()
        .find(|(name, _)| name.is_empty() || name.iter().any(|byte| b"=\0".contains(byte)));
    odd.map_or(Ok(()), |(name, _)| Err(refused(name, "an extended attribute has no such name")))
}

/// The same of a path alone.
pub(super) fn check_path(path: &[u8]) -> Result<(), LayerError> {
    if path.contains(&0) {
        return Err(refused(path, "it has a NUL"));
    }
    for component in path.split(|byte| *byte == b'/') {
        if matches!(component, b"" | b"." | b"..") {
            return Err(refused(path, "it is no plain path from the root of the image"));
        }
        if component.starts_with(WHITEOUT) {
            return Err(refused(path, "names that begin with .wh. mean deletions in a layer"));
        }
    }
    Ok(())
}

/// Refuses names that no file of a Windows image can have.
pub(super) fn check_windows(path: &[u8]) -> Result<(), LayerError> {
    let unfit = path.split(|byte| *byte == b'/').find_map(windows::unfit);
    unfit.map_or(Ok(()), |reason| Err(refused(path, reason)))
}

/// Where a file of a Windows image is in a layer.
pub(super) fn below_files(path: &[u8]) -> Vec<u8> {
    [windows::FILES, path].join(&b'/')
}

/// What a layer cannot hold, and why.
pub(super) fn refused(name: &[u8], reason: &'static str) -> LayerError {
    LayerError::Name { name: shown(name), reason }
}

/// A name in a message.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

//! Whether there is room for what is about to be written.

use std::{io, path::Path};

use super::error::StoreError;

/// Refuses what cannot fit on the disk of `folder`, before the rest of the disk is filled with a part of it.
///
/// # Errors
/// [`StoreError::Io`] of kind [`io::ErrorKind::StorageFull`].
pub(super) fn check_room(folder: &Path, size: u64) -> Result<(), StoreError> {
    // Where the system does not say, writing finds out.
    match fs4::available_space(folder) {
        Ok(free) if free < size => Err(StoreError::Io {
            action: "keep more than fits in",
            path: folder.to_owned(),
            source: io::ErrorKind::StorageFull.into(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_fit_is_refused_before_it_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        check_room(folder.path(), 1).expect("room for a byte");
        let error = check_room(folder.path(), u64::MAX / 2).expect_err("no such disk");
        assert!(error.is_full(), "{error}");
    }
}

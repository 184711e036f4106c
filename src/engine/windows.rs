//! What the engine knows of Windows.

use super::index::{IndexEntry, IndexKind};
use crate::{
    context::RelPath,
    oci::layer::windows::{file_of, fold, target_of, unfit},
};

/// What stands at the top of the bases that Microsoft makes.
const OF_SYSTEM: [&[u8]; 10] = [
    b"$RECYCLE.BIN",
    b"DOCUMENTS AND SETTINGS",
    b"INETPUB",
    b"PERFLOGS",
    b"PROGRAM FILES",
    b"PROGRAM FILES (X86)",
    b"PROGRAMDATA",
    b"SYSTEM VOLUME INFORMATION",
    b"USERS",
    b"WINDOWS",
];

/// Whether a path leads into what Windows itself brings.
pub(super) fn is_of_system(path: &RelPath) -> bool {
    path.components().next().is_some_and(|first| OF_SYSTEM.contains(&fold(first).as_slice()))
}

/// What the file system of an image has of the members of a layer for Windows, by the paths of the image. Links come
/// last: Windows makes them when all files are there.
pub(super) fn below_files(members: Vec<IndexEntry>) -> Vec<IndexEntry> {
    let files = members.into_iter().filter_map(|member| {
        let path = file_of(&member.path)?;
        let kind = match member.kind {
            IndexKind::Hardlink(target) => IndexKind::Hardlink(file_of(&target)?),
            IndexKind::Symlink(target) => IndexKind::Symlink(target_of(&target)),
            kind => kind,
        };
        Some(IndexEntry { path, kind, ..member })
    });
    let is_link = |entry: &IndexEntry| matches!(entry.kind, IndexKind::Hardlink(_));
    let (links, mut files): (Vec<_>, Vec<_>) = files.partition(is_link);
    files.extend(links);
    files
}

/// Why no file of a Windows image can have a path, if none can.
pub(super) fn unfit_path(path: &RelPath) -> Option<&'static str> {
    path.components().find_map(unfit)
}

#[cfg(test)]
mod tests {
    use polyarch_actors::ImageOs;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        archive::Limits,
        engine::index,
        oci::{
            Store,
            layer::windows::{
                export::ExportOptions,
                support::{disk_of, exported},
            },
        },
    };

    #[test]
    fn what_belongs_to_windows_is_known_in_any_case() {
        for path in ["windows/System32", "Program Files", "PROGRAMDATA/x", "Users"] {
            assert!(is_of_system(&RelPath::clean(path.as_bytes())), "{path}");
        }
        for path in ["", "app", "windows-app", "app/windows"] {
            assert!(!is_of_system(&RelPath::clean(path.as_bytes())), "{path}");
        }
    }

    /// The export that the tests of layers have.
    const MADE: &str = include_str!("../oci/layer/windows/testdata/layer/step/made");

    #[test]
    fn the_index_of_an_export_is_that_of_its_layer() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let (layer, records) =
            exported(&store, &mut disk_of(MADE), ExportOptions::default()).expect("exported");
        let told: Vec<IndexEntry> = records.into_iter().map(index::of_record).collect();
        let (os, cancel) = (ImageOs::Windows, CancellationToken::new());
        let read = index::of_layer(&store, &layer.digest, &layer.diff_id, os, Limits::default(), &cancel);
        let mut read = read.expect("read");
        // Nobody reads what stands in a deletion.
        for entry in read.iter_mut().filter(|entry| entry.path.ends_with(b"/.wh.old.exe")) {
            entry.xattrs.clear();
            if let IndexKind::File { offset, .. } = &mut entry.kind {
                *offset = 0;
            }
        }
        assert_eq!(told, read);
        assert_eq!(told.len(), 7);
    }
}

//! What archives say of the files of Windows images.

use super::super::{
    entry::{EntryKind, LayerEntry},
    header::Extra,
};

/// The directory of everything in the file system.
pub(in crate::oci::layer) const FILES: &[u8] = b"Files";
/// The directory of changes to the registry.
pub(in crate::oci::layer) const HIVES: &[u8] = b"Hives";

/// How `mode` says what a member is.
///
/// Source: POSIX.1-2017, `cpio.h`.
const IS_DIRECTORY: u32 = 0o040_000;
const IS_FILE: u32 = 0o100_000;

/// `FILE_ATTRIBUTE_DIRECTORY` and `FILE_ATTRIBUTE_ARCHIVE`, as decimal numbers.
const ATTRIBUTES: &str = "MSWINDOWS.fileattr";
const DIRECTORY: &str = "16";
const FILE: &str = "32";

/// A self-relative security descriptor in base64.
const SECURITY: &str = "MSWINDOWS.rawsd";
/// `O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)`
/// `(A;CI;DC;;;BU)`: administrators and the system own it, users read it.
const DIRECTORY_SECURITY: &str = "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgCoAAcAAAAAAxgA/wEfAAE\
                                  CAAAAAAAFIAAAACACAAAAAxQA/wEfAAEBAAAAAAAFEgAAAAAAGAD/AR8AAQIAAAAAAAUgAAAAIAIAAAALFAAAAA\
                                  AQAQEAAAAAAAMAAAAAAAMYAKkAEgABAgAAAAAABSAAAAAhAgAAAAIYAAQAAAABAgAAAAAABSAAAAAhAgAAAAIYA\
                                  AIAAAABAgAAAAAABSAAAAAhAgAA";
/// `O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU)`.
const FILE_SECURITY: &str = "AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAA\
                             AAAFIAAAACACAAAAABQA/wEfAAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA==";

/// When it was made, in seconds since 1970 with nine digits of a fraction.
const CREATED: &str = "LIBARCHIVE.creationtime";

/// What the header of an entry says on Windows beside what it says everywhere. What the entry brings along of that,
/// because it comes from a layer of Windows, is kept.
pub(in crate::oci::layer) fn extra(entry: &LayerEntry<'_>) -> Extra {
    let (file_type, attributes, security) = match entry.kind {
        EntryKind::Directory => (IS_DIRECTORY, DIRECTORY, DIRECTORY_SECURITY),
        EntryKind::File { .. } => (IS_FILE, FILE, FILE_SECURITY),
        // Everything about a hard link is said where the file is.
        _ => return Extra::default(),
    };
    let created = format!("{}.000000000", entry.mtime);
    // The two directories at the top are the layer's and not the image's: nobody's rights there are changed.
    let security = (!matches!(entry.name, FILES | HIVES)).then_some(security);
    let made = [(ATTRIBUTES, Some(attributes)), (CREATED, Some(created.as_str())), (SECURITY, security)];
    let brought = |name: &str| entry.xattrs.iter().find(|(known, _)| known == name.as_bytes()).cloned();
    let record = |(name, made): (&str, Option<&str>)| {
        brought(name).or_else(|| Some((name.as_bytes().to_vec(), made?.as_bytes().to_vec())))
    };
    Extra { file_type, records: made.into_iter().filter_map(record).collect() }
}

/// Whether a record of an archive is one that [`extra`] keeps.
pub(crate) fn is_record(name: &[u8]) -> bool {
    [ATTRIBUTES, CREATED, SECURITY].iter().any(|known| name == known.as_bytes())
}

/// Why there is no such thing in the layers that are made here, if there is none.
pub(in crate::oci::layer) fn kind_of(entry: &LayerEntry<'_>) -> Result<(), &'static str> {
    match entry.kind {
        EntryKind::File { .. } | EntryKind::Directory | EntryKind::HardLink { .. } => Ok(()),
        EntryKind::Symlink { .. } => {
            Err("it is a symbolic link, and those of Windows say whether they lead to a \
                                          file or a directory: copy what it leads to")
        }
        EntryKind::Fifo | EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => {
            Err("Windows has no named pipes and devices among its files")
        }
    }
}

/// A path as Windows compares it: without regard to case, letter by letter.
///
/// Source: NTFS, whose table maps single UTF-16 units.
pub(crate) fn fold(path: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(path);
    let upper = text.chars().map(|letter| {
        let mut upper = letter.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(one), None) => one,
            _ => letter,
        }
    });
    upper.collect::<String>().into_bytes()
}

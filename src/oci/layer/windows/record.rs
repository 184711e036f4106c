//! What archives say of the files of Windows images.

use super::{
    super::{
        entry::{EntryKind, LayerEntry},
        header::Extra,
    },
    attributes::REPARSE_POINT,
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
const IS_LINK: u32 = 0o120_000;

/// `FILE_ATTRIBUTE_…` as a decimal number.
pub(super) const ATTRIBUTES: &str = "MSWINDOWS.fileattr";
/// `FILE_ATTRIBUTE_DIRECTORY` and `FILE_ATTRIBUTE_ARCHIVE`.
const DIRECTORY: &str = "16";
const FILE: &str = "32";

/// A self-relative security descriptor in base64.
pub(super) const SECURITY: &str = "MSWINDOWS.rawsd";
/// The same as text, as builders wrote it until 2017.
pub(super) const SECURITY_TEXT: &str = "MSWINDOWS.sd";
/// Whether a link is a mount point.
pub(super) const MOUNT_POINT: &str = "MSWINDOWS.mountpoint";
/// How an extended attribute of Windows is spelled; its value is in base64.
pub(super) const EXTENDED: &str = "MSWINDOWS.xattr.";
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
pub(super) const CREATED: &str = "LIBARCHIVE.creationtime";

/// What the header of an entry says on Windows beside what it says everywhere. What the entry brings along of that,
/// because it comes from a layer of Windows, is kept.
pub(in crate::oci::layer) fn extra(entry: &LayerEntry<'_>) -> Extra {
    let (attributes, security) = match entry.kind {
        EntryKind::Directory => (DIRECTORY, DIRECTORY_SECURITY),
        EntryKind::Symlink { .. } if is_directory(entry) => (DIRECTORY, DIRECTORY_SECURITY),
        EntryKind::File { .. } | EntryKind::Symlink { .. } => (FILE, FILE_SECURITY),
        // Everything about a hard link is said where the file is.
        _ => return Extra::default(),
    };
    let created = format!("{}.000000000", entry.mtime);
    // The two directories at the top are the layer's and not the image's: nobody's rights there are changed.
    let security = (!matches!(entry.name, FILES | HIVES)).then_some(security);
    let made = [(ATTRIBUTES, Some(attributes)), (CREATED, Some(created.as_str())), (SECURITY, security)];
    let mut extra = brought(entry);
    for (name, value) in made {
        let is_brought = extra.records.iter().any(|(known, _)| known == name.as_bytes());
        if let Some(value) = value.filter(|_| !is_brought) {
            extra.records.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
    }
    extra
}

/// The same of an entry that says all of that itself.
pub(in crate::oci::layer) fn brought(entry: &LayerEntry<'_>) -> Extra {
    let file_type = match entry.kind {
        EntryKind::Directory => IS_DIRECTORY,
        EntryKind::File { .. } => IS_FILE,
        EntryKind::Symlink { .. } => IS_LINK,
        _ => return Extra::default(),
    };
    let is_link = file_type == IS_LINK;
    let means_something = |(name, _): &&(Vec<u8>, Vec<u8>)| {
        is_record(name) && name != SECURITY_TEXT.as_bytes() && (is_link || name != MOUNT_POINT.as_bytes())
    };
    Extra { file_type, records: entry.xattrs.iter().filter(means_something).cloned().collect() }
}

/// Whether a record of an archive is one that means something on Windows.
pub(crate) fn is_record(name: &[u8]) -> bool {
    [ATTRIBUTES, CREATED, SECURITY, SECURITY_TEXT, MOUNT_POINT].iter().any(|known| name == known.as_bytes())
        || name.starts_with(EXTENDED.as_bytes())
}

/// Why there is no such thing in the layers that are made here, if there is none.
pub(in crate::oci::layer) fn kind_of(entry: &LayerEntry<'_>) -> Result<(), &'static str> {
    match entry.kind {
        EntryKind::File { .. } | EntryKind::Directory | EntryKind::HardLink { .. } => Ok(()),
        // What came from a layer of Windows says so.
        EntryKind::Symlink { .. } if stated(entry).is_some_and(|stated| stated & REPARSE_POINT != 0) => {
            Ok(())
        }
        EntryKind::Symlink { .. } => {
            Err("it is a symbolic link, and those of Windows say whether they lead to a \
                                          file or a directory: copy what it leads to")
        }
        EntryKind::Fifo | EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => {
            Err("Windows has no named pipes and devices among its files")
        }
    }
}

/// Where a link leads as layers of Windows write it: what begins at the root begins on the drive of the image.
pub(super) fn link_target(target: &[u8]) -> Vec<u8> {
    let drive: &[u8] = match target {
        [b'/' | b'\\', b'/' | b'\\', ..] => b"",
        [b'/' | b'\\', ..] => b"C:",
        _ => b"",
    };
    let target = target.iter().map(|byte| if *byte == b'/' { b'\\' } else { *byte });
    drive.iter().copied().chain(target).collect()
}

fn is_directory(entry: &LayerEntry<'_>) -> bool {
    stated(entry).is_some_and(|stated| stated & super::attributes::DIRECTORY != 0)
}

/// The attributes that an entry brings along.
fn stated(entry: &LayerEntry<'_>) -> Option<u32> {
    let (_, value) = entry.xattrs.iter().find(|(name, _)| name == ATTRIBUTES.as_bytes())?;
    std::str::from_utf8(value).ok()?.parse().ok()
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

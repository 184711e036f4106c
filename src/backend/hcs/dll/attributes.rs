//! What Windows knows of a file beside its streams.
//!
//! JUSTIFICATION: all of it together is only told and changed by Win32.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    fs::{File, OpenOptions},
    os::windows::{fs::OpenOptionsExt as _, io::AsRawHandle as _},
    path::Path,
};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_BASIC_INFO, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, FILE_ID_INFO,
    FILE_READ_ATTRIBUTES, FILE_STANDARD_INFO, FILE_WRITE_ATTRIBUTES, FileBasicInfo, FileIdInfo,
    FileStandardInfo, GetFileInformationByHandleEx, SetFileInformationByHandle,
};

use super::failure::{last, of};
use crate::backend::hcs::{FileAttributes, FileIdentity, HcsResult};

/// How a file is opened so that it is itself, whether it is a directory, a link, or nothing that we may read.
pub(super) const AS_IT_IS: u32 = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
/// Gives the attributes of a file or directory again.
pub(super) fn set_attributes(path: &Path, attributes: &FileAttributes) -> HcsResult<()> {
    let file = OpenOptions::new()
        .access_mode(FILE_WRITE_ATTRIBUTES)
        .custom_flags(AS_IT_IS)
        .open(path)
        .map_err(|error| of("CreateFileW", &error))?;
    set(&file, attributes)
}

/// Gives attributes to an open file.
pub(super) fn set(file: &File, attributes: &FileAttributes) -> HcsResult<()> {
    let FileAttributes { attributes, created, accessed, written, changed } = *attributes;
    let basic = FILE_BASIC_INFO {
        CreationTime: created,
        LastAccessTime: accessed,
        LastWriteTime: written,
        ChangeTime: changed,
        FileAttributes: attributes,
    };
    let size = u32::try_from(size_of::<FILE_BASIC_INFO>()).unwrap_or_default();
    // SAFETY: The structure is the one of this class, and has this size.
    let set = unsafe {
        SetFileInformationByHandle(file.as_raw_handle(), FileBasicInfo, (&raw const basic).cast(), size)
    };
    if set == 0 { Err(last("SetFileInformationByHandle")) } else { Ok(()) }
}

/// The attributes of an open file.
pub(super) fn get(file: &File) -> HcsResult<FileAttributes> {
    // SAFETY: The structure is the one of this class.
    let basic: FILE_BASIC_INFO = unsafe { information(file, FileBasicInfo) }?;
    Ok(FileAttributes {
        attributes: basic.FileAttributes,
        created: basic.CreationTime,
        accessed: basic.LastAccessTime,
        written: basic.LastWriteTime,
        changed: basic.ChangeTime,
    })
}

/// Which file a path is a name of. Its id counts on one volume.
pub(super) fn identity(path: &Path) -> HcsResult<FileIdentity> {
    let file = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        .custom_flags(AS_IT_IS)
        .open(path)
        .map_err(|error| of("CreateFileW", &error))?;
    // SAFETY: Each structure is the one of its class.
    let (id, standard): (FILE_ID_INFO, FILE_STANDARD_INFO) =
        unsafe { (information(&file, FileIdInfo)?, information(&file, FileStandardInfo)?) };
    Ok(FileIdentity { id: u128::from_le_bytes(id.FileId.Identifier), names: standard.NumberOfLinks })
}

/// What Windows tells of an open file.
///
/// # Safety
/// The structure must be the one that is documented for the class.
unsafe fn information<T: Default>(file: &File, class: i32) -> HcsResult<T> {
    let mut told = T::default();
    let size = u32::try_from(size_of::<T>()).unwrap_or_default();
    // SAFETY: There is place for the structure, which is the one of the class by what is asked of the caller.
    let got =
        unsafe { GetFileInformationByHandleEx(file.as_raw_handle(), class, (&raw mut told).cast(), size) };
    if got == 0 { Err(last("GetFileInformationByHandleEx")) } else { Ok(told) }
}

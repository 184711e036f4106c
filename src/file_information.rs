//! What Windows knows of an open file.
//!
//! JUSTIFICATION for unsafe code: the standard library tells neither which file a handle is of nor when anything of it
//! changed last. The two calls here fill structures on the stack and keep nothing.
#![expect(unsafe_code, reason = "calls of the system that no safe wrapper has")]

use std::{fs::File, io, mem, os::windows::io::AsRawHandle as _};

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_BASIC_INFO, FileBasicInfo, GetFileInformationByHandle,
    GetFileInformationByHandleEx,
};

/// What is known of a file. Times are in steps of 100 ns since 1601.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileInformation {
    /// The volume that it is on.
    pub(crate) volume: u64,
    /// Its number there.
    pub(crate) index: u64,
    /// How many names it has.
    pub(crate) links: u64,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// When its content changed last.
    pub(crate) written: i64,
    /// When anything of it changed last.
    pub(crate) changed: i64,
}

impl FileInformation {
    /// That of an open file or directory.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let handle = file.as_raw_handle();
        let mut found = BY_HANDLE_FILE_INFORMATION::default();
        // SAFETY: the handle is open as long as `file` is borrowed, and the structure is the call's own.
        if unsafe { GetFileInformationByHandle(handle, &raw mut found) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let mut basic = FILE_BASIC_INFO::default();
        let length = u32::try_from(mem::size_of_val(&basic)).unwrap_or_default();
        // SAFETY: as above; `length` is that of the structure.
        if unsafe { GetFileInformationByHandleEx(handle, FileBasicInfo, (&raw mut basic).cast(), length) }
            == 0
        {
            return Err(io::Error::last_os_error());
        }
        let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        Ok(Self {
            volume: found.dwVolumeSerialNumber.into(),
            index: wide(found.nFileIndexHigh, found.nFileIndexLow),
            links: found.nNumberOfLinks.into(),
            size: wide(found.nFileSizeHigh, found.nFileSizeLow),
            written: basic.LastWriteTime,
            changed: basic.ChangeTime,
        })
    }
}

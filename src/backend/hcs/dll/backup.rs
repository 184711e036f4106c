//! Files with everything that Windows knows of them, by `BackupRead` and `BackupWrite`.
//!
//! JUSTIFICATION: backup streams are only read and written by Win32.
//!
//! Source: Microsoft, "Backup and restore functions"; go-winio, `backup.go`, for which rights each needs.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]
#![expect(clippy::too_many_arguments, reason = "the two functions have that many")]

use std::{
    ffi::c_void,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::windows::{fs::OpenOptionsExt as _, io::AsRawHandle as _},
    path::Path,
    ptr::null_mut,
    sync::Arc,
};

use windows_sys::Win32::{
    Foundation::{GENERIC_READ, GENERIC_WRITE, HANDLE},
    Storage::FileSystem::{FILE_ATTRIBUTE_DIRECTORY, FILE_SHARE_READ, WRITE_DAC, WRITE_OWNER},
};

use super::{
    attributes::{AS_IT_IS, get, set},
    failure::{last, of},
    library::functions,
};
use crate::backend::hcs::{FileAttributes, HcsError, HcsResult};

/// To write who is audited, as a part of a security descriptor.
const ACCESS_SYSTEM_SECURITY: u32 = 0x0100_0000;
/// How much of a stream is given to Windows at once, in bytes.
const PIECE: usize = 256 * 1024;

functions! {
    /// The two functions.
    struct Functions {
        c"BackupRead" fn read(
            file: HANDLE, buffer: *mut u8, length: u32, read: *mut u32, abort: i32, security: i32,
            context: *mut *mut c_void,
        ) -> i32;
        c"BackupWrite" fn write(
            file: HANDLE, buffer: *const u8, length: u32, written: *mut u32, abort: i32, security: i32,
            context: *mut *mut c_void,
        ) -> i32;
    }
}

/// The two functions, wherever this Windows has them.
#[derive(Debug)]
pub(super) struct Backup {
    api_set: Arc<Functions>,
    kernel: Arc<Functions>,
}

impl Backup {
    pub(super) fn new() -> Self {
        Self {
            api_set: Arc::new(Functions::of("api-ms-win-core-backup-l1-1-0.dll")),
            kernel: Arc::new(Functions::of("kernel32.dll")),
        }
    }

    pub(super) fn complete(&self) -> HcsResult<()> {
        self.functions().complete()
    }

    /// Makes a file or directory out of its attributes and a backup stream.
    pub(super) fn write(
        &self,
        path: &Path,
        attributes: &FileAttributes,
        stream: &mut dyn Read,
    ) -> HcsResult<()> {
        let directory = attributes.attributes & FILE_ATTRIBUTE_DIRECTORY != 0;
        if directory {
            fs::create_dir(path).map_err(|error| of("CreateDirectoryW", &error))?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(!directory)
            .access_mode(GENERIC_READ | GENERIC_WRITE | WRITE_DAC | WRITE_OWNER | ACCESS_SYSTEM_SECURITY)
            .share_mode(FILE_SHARE_READ)
            .custom_flags(AS_IT_IS)
            .open(path)
            .map_err(|error| of("CreateFileW", &error))?;
        let mut writer = Writer { functions: self.functions(), file: &file, context: null_mut() };
        let mut piece = vec![0; PIECE];
        loop {
            let length = stream.read(&mut piece).map_err(|error| of("BackupWrite", &error))?;
            if length == 0 {
                break;
            }
            writer.write(&piece[..length])?;
        }
        drop(writer);
        // Last, because writing changes times.
        set(&file, attributes)
    }

    /// The attributes and the backup stream of a file or directory, without its security descriptor: what is read is
    /// a file that was made for an export and has those of the folder that it is in.
    pub(super) fn read(&self, path: &Path) -> HcsResult<(FileAttributes, Box<dyn Read + Send>)> {
        let file = OpenOptions::new()
            .access_mode(GENERIC_READ)
            .share_mode(FILE_SHARE_READ)
            .custom_flags(AS_IT_IS)
            .open(path)
            .map_err(|error| of("CreateFileW", &error))?;
        let attributes = get(&file)?;
        let functions = Arc::clone(self.functions());
        functions.complete()?;
        Ok((attributes, Box::new(Reader { functions, file, context: null_mut() })))
    }

    fn functions(&self) -> &Arc<Functions> {
        if self.api_set.complete().is_ok() { &self.api_set } else { &self.kernel }
    }
}

/// A backup stream on its way into a file. Windows remembers in the context how far it is.
struct Writer<'a> {
    functions: &'a Functions,
    file: &'a File,
    context: *mut c_void,
}

impl Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> HcsResult<()> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut written = 0;
        // SAFETY: The buffer has that length, and the context is this file's from its first call to its last.
        let done = unsafe {
            self.functions.write(
                self.file.as_raw_handle(),
                bytes.as_ptr(),
                length,
                &raw mut written,
                0,
                1,
                &raw mut self.context,
            )
        }?;
        if done == 0 {
            return Err(last("BackupWrite"));
        }
        if written != length {
            let detail = Some(format!("{written} of {length} bytes were written"));
            // ERROR_WRITE_FAULT.
            return Err(HcsError { call: "BackupWrite", code: 0x8007_001D, detail });
        }
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.context.is_null() {
            let mut written = 0;
            // SAFETY: This is the last call for the context, and says so; no buffer is read then.
            let _ = unsafe {
                self.functions.write(
                    self.file.as_raw_handle(),
                    null_mut(),
                    0,
                    &raw mut written,
                    1,
                    1,
                    &raw mut self.context,
                )
            };
        }
    }
}

/// A backup stream on its way out of a file.
struct Reader {
    functions: Arc<Functions>,
    file: File,
    context: *mut c_void,
}

// SAFETY: The context belongs to the file and not to a thread, and only the owner of this uses it.
unsafe impl Send for Reader {}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let mut read = 0;
        // SAFETY: The buffer has that length, and the context is this file's from its first call to its last.
        let done = unsafe {
            self.functions.read(
                self.file.as_raw_handle(),
                buffer.as_mut_ptr(),
                length,
                &raw mut read,
                0,
                0,
                &raw mut self.context,
            )
        };
        match done {
            Ok(0) => Err(io::Error::last_os_error()),
            Ok(_) => Ok(read as usize),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.context.is_null() {
            let mut read = 0;
            // SAFETY: This is the last call for the context, and says so; no buffer is written then.
            let _ = unsafe {
                self.functions.read(
                    self.file.as_raw_handle(),
                    null_mut(),
                    0,
                    &raw mut read,
                    1,
                    0,
                    &raw mut self.context,
                )
            };
        }
    }
}

//! What `api-ms-win-core-backup-l1-1-0.dll` exports.
//!
//! JUSTIFICATION: callers come from elsewhere, with pointers and with handles of files.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    env,
    ffi::{OsString, c_void},
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
    mem::ManuallyDrop,
    os::windows::{ffi::OsStringExt as _, io::FromRawHandle as _},
    path::PathBuf,
};

use windows_sys::Win32::{
    Foundation::{HANDLE, SetLastError},
    Storage::FileSystem::GetFinalPathNameByHandleW,
};

use crate::{
    failure::{Failure, INVALID_ARGUMENT, Outcome, SERVICE_NOT_AVAILABLE},
    sidecar,
    stream::{self, DATA, Record, SECURITY},
    world::{World, call},
};

/// How far a stream is.
enum Progress {
    /// What was written so far; judged when the caller says that it is over.
    Writing(Vec<u8>),
    /// What is still to be read.
    Reading(Vec<u8>),
}

/// # Safety
/// The handle must be that of a file, the buffer must have that length, and the context must be null at first.
#[unsafe(no_mangle)]
unsafe extern "system" fn BackupWrite(
    file: HANDLE,
    buffer: *const u8,
    length: u32,
    written: *mut u32,
    abort: i32,
    _security: i32,
    context: *mut *mut c_void,
) -> i32 {
    // SAFETY: As is asked of the caller; what is in a context was put there below.
    told(unsafe {
        with(
            "BackupWrite",
            file,
            context,
            abort,
            || Ok(Progress::Writing(Vec::new())),
            |progress| {
                let Progress::Writing(bytes) = progress else {
                    return Err(Failure::new(INVALID_ARGUMENT, "the context is that of a reader"));
                };
                bytes.extend_from_slice(std::slice::from_raw_parts(buffer, length as usize));
                *written = length;
                // What is whole is in the file at once: nobody says when a stream is over.
                match stream::read(bytes) {
                    Ok(records) => store(file, records),
                    Err(failure) if failure.message.ends_with("within a record") => Ok(()),
                    Err(failure) => Err(failure),
                }
            },
        )
    })
}

/// # Safety
/// As [`BackupWrite`].
#[unsafe(no_mangle)]
unsafe extern "system" fn BackupRead(
    file: HANDLE,
    buffer: *mut u8,
    length: u32,
    read: *mut u32,
    abort: i32,
    security: i32,
    context: *mut *mut c_void,
) -> i32 {
    // SAFETY: As is asked of the caller; what is in a context was put there below.
    told(unsafe {
        with(
            "BackupRead",
            file,
            context,
            abort,
            || Ok(Progress::Reading(load(file, security != 0)?)),
            |progress| {
                let Progress::Reading(bytes) = progress else {
                    return Err(Failure::new(INVALID_ARGUMENT, "the context is that of a writer"));
                };
                let given = bytes.len().min(length as usize);
                buffer.copy_from_nonoverlapping(bytes.as_ptr(), given);
                bytes.drain(..given);
                *read = u32::try_from(given).unwrap_or_default();
                Ok(())
            },
        )
    })
}

/// Finds or makes what a context is about, or drops it.
unsafe fn with(
    name: &str,
    file: HANDLE,
    context: *mut *mut c_void,
    abort: i32,
    new: impl FnOnce() -> Outcome<Progress>,
    body: impl FnOnce(&mut Progress) -> Outcome<()>,
) -> Outcome<()> {
    // SAFETY: As is asked of whoever calls this.
    unsafe {
        if abort != 0 {
            if !(*context).is_null() {
                drop(Box::from_raw((*context).cast::<Progress>()));
                *context = std::ptr::null_mut();
            }
            return Ok(());
        }
        if (*context).is_null() {
            let (path, _) = opened(file)?;
            call(name, path.to_string_lossy(), |_| Ok(()))?;
            *context = Box::into_raw(Box::new(new()?)).cast();
        }
        body(&mut *(*context).cast::<Progress>())
    }
}

/// Puts records into a file.
unsafe fn store(handle: HANDLE, records: Vec<Record>) -> Outcome<()> {
    // SAFETY: As is asked of whoever calls this.
    let (path, mut file) = unsafe { opened(handle) }?;
    let directory = fs::metadata(&path)?.is_dir();
    let (data, beside): (Vec<Record>, Vec<Record>) =
        records.into_iter().partition(|record| record.kind == DATA);
    for record in data {
        if directory {
            return Err(Failure::new(INVALID_ARGUMENT, "a directory has no data"));
        }
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(&record.content)?;
    }
    sidecar::save(&World::open()?.root, &path, beside)
}

/// The stream of a file.
unsafe fn load(handle: HANDLE, security: bool) -> Outcome<Vec<u8>> {
    // SAFETY: As is asked of whoever calls this.
    let (path, mut file) = unsafe { opened(handle) }?;
    let mut bytes = Vec::new();
    let mut beside = sidecar::load(&World::open()?.root, &path);
    if !beside.iter().any(|record| record.kind == SECURITY) {
        beside.insert(0, Record::descriptor());
    }
    for record in beside.iter().filter(|record| security || record.kind != SECURITY) {
        record.write(&mut bytes);
    }
    if !fs::metadata(&path)?.is_dir() {
        let mut content = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut content)?;
        Record::new(DATA, content).write(&mut bytes);
    }
    Ok(bytes)
}

/// The file of a handle, which stays the caller's, and where it is.
unsafe fn opened(handle: HANDLE) -> Outcome<(PathBuf, ManuallyDrop<File>)> {
    if env::var_os("POLYARCH_HCS_SIMULATOR").is_none() {
        return Err(Failure::new(SERVICE_NOT_AVAILABLE, "the service is not running"));
    }
    let mut units = [0_u16; 4096];
    // SAFETY: The buffer has that length, and the handle is that of a file.
    let length = unsafe {
        GetFinalPathNameByHandleW(
            handle,
            units.as_mut_ptr(),
            u32::try_from(units.len()).unwrap_or_default(),
            0,
        )
    };
    if length == 0 || length as usize >= units.len() {
        return Err(std::io::Error::last_os_error().into());
    }
    let path = PathBuf::from(OsString::from_wide(&units[..length as usize]));
    // SAFETY: The handle is open, and is not closed here.
    Ok((path, ManuallyDrop::new(unsafe { File::from_raw_handle(handle) })))
}

/// What the functions return, and leave as the last error.
fn told(outcome: Outcome<()>) -> i32 {
    match outcome {
        Ok(()) => 1,
        Err(failure) => {
            // SAFETY: It has no conditions.
            unsafe { SetLastError(failure.code & 0xFFFF) };
            0
        }
    }
}

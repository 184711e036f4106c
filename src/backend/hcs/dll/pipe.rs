//! Pipes from processes in compute systems.
//!
//! JUSTIFICATION: the pipes of the Host Compute Service are opened for overlapped reading, which only Win32 can do.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    io::{self, Read},
    os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
    ptr::{null, null_mut},
};

use windows_sys::Win32::{
    Foundation::{ERROR_BROKEN_PIPE, ERROR_HANDLE_EOF, ERROR_IO_PENDING, HANDLE, INVALID_HANDLE_VALUE},
    Storage::FileSystem::ReadFile,
    System::{
        HostComputeSystem::HCS_PROCESS_INFORMATION,
        IO::{GetOverlappedResult, OVERLAPPED},
        Threading::CreateEventW,
    },
};

use crate::backend::hcs::{HcsProcess, ReadPipe, StartedProcess};

/// The pipes of a process.
#[derive(Debug)]
pub(super) struct Pipes {
    stdout: Option<OwnedHandle>,
    stderr: Option<OwnedHandle>,
}

impl Pipes {
    /// Takes the handles of a process. Nobody writes to it, and one that reads must not wait for that: its standard
    /// input is closed.
    ///
    /// # Safety
    /// The handles must be open or none, and nobody else may have them.
    pub(super) unsafe fn own(information: &HCS_PROCESS_INFORMATION) -> Self {
        // SAFETY: As is asked of the caller.
        let [_, stdout, stderr] = unsafe {
            [information.StdInput, information.StdOutput, information.StdError].map(|handle| own(handle))
        };
        Self { stdout, stderr }
    }

    /// The process and what it writes.
    pub(super) fn of(self, process: Box<dyn HcsProcess>) -> StartedProcess {
        StartedProcess { process, stdout: reader(self.stdout), stderr: reader(self.stderr) }
    }
}

/// Takes a handle that may be none.
///
/// # Safety
/// The handle must be open, and nobody else may have it, unless it is none.
unsafe fn own(handle: HANDLE) -> Option<OwnedHandle> {
    let none = handle.is_null() || handle == INVALID_HANDLE_VALUE;
    // SAFETY: As is asked of the caller.
    (!none).then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// What reads the end of a pipe; of one that there is not, nothing.
fn reader(handle: Option<OwnedHandle>) -> Box<dyn ReadPipe> {
    match handle {
        Some(handle) => Box::new(Pipe(handle)),
        None => Box::new(io::empty()),
    }
}

/// The end of a pipe that is read.
#[derive(Debug)]
struct Pipe(OwnedHandle);

impl Read for Pipe {
    /// Blocks until there is something. Whether the handle was opened for overlapped reading or not is the same to it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: An event without a name and without attributes.
        let event = unsafe { CreateEventW(null(), 1, 0, null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The event was just made.
        let event = unsafe { OwnedHandle::from_raw_handle(event) };
        let mut overlapped = OVERLAPPED { hEvent: event.as_raw_handle(), ..OVERLAPPED::default() };
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let handle = self.0.as_raw_handle();
        // SAFETY: The buffer has that length. It and `overlapped` stay until the read has ended, because nothing
        // below returns before it has.
        let begun = unsafe { ReadFile(handle, buffer.as_mut_ptr(), length, null_mut(), &raw mut overlapped) };
        if begun == 0 {
            let error = io::Error::last_os_error();
            if !is(&error, ERROR_IO_PENDING) {
                return at_end(error);
            }
        }
        let mut read = 0;
        // SAFETY: The read was begun with this structure; the call waits until it has ended.
        if unsafe { GetOverlappedResult(handle, &raw const overlapped, &raw mut read, 1) } == 0 {
            return at_end(io::Error::last_os_error());
        }
        Ok(read as usize)
    }
}

/// That nobody has the other end any more is the end.
fn at_end(error: io::Error) -> io::Result<usize> {
    if is(&error, ERROR_BROKEN_PIPE) || is(&error, ERROR_HANDLE_EOF) { Ok(0) } else { Err(error) }
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code.cast_signed())
}

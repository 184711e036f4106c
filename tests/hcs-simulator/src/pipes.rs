//! The standard streams of processes.
//!
//! JUSTIFICATION: overlapped pipes are only made by Win32.
#![expect(unsafe_code, reason = "see JUSTIFICATION")]

use std::{
    fs::OpenOptions,
    os::windows::io::{AsRawHandle as _, FromRawHandle as _, IntoRawHandle as _, OwnedHandle},
    ptr::null,
};

use windows_sys::Win32::{
    Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation},
    Storage::FileSystem::{
        FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, PIPE_ACCESS_INBOUND, PIPE_ACCESS_OUTBOUND,
    },
    System::Pipes::CreateNamedPipeW,
};

use crate::{
    failure::Outcome,
    text::wide,
    win32::{owned, succeeded},
};

/// The caller's end of a stream, if it wants one, and the child's.
pub(crate) fn stream(wanted: bool, number: u64, which: &str) -> Outcome<(Option<OwnedHandle>, OwnedHandle)> {
    let reads = which == "in";
    let (ours, path) = if wanted {
        let path = format!(r"\\.\pipe\polyarch-hcs-simulator-{}-{number}-{which}", std::process::id());
        let direction = if reads { PIPE_ACCESS_OUTBOUND } else { PIPE_ACCESS_INBOUND };
        let name = wide(&path);
        // SAFETY: The name ends with a zero. The end is overlapped, as are those that Windows gives.
        let ours = unsafe {
            owned(CreateNamedPipeW(
                name.as_ptr(),
                direction | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
                0,
                1,
                65536,
                65536,
                0,
                null(),
            ))
        }?;
        (Some(ours), path)
    } else {
        (None, "NUL".to_owned())
    };
    let file = OpenOptions::new().read(reads).write(!reads).open(path)?;
    // SAFETY: The handle is that of a file that was just opened, and belongs to nobody else.
    let theirs = unsafe { OwnedHandle::from_raw_handle(file.into_raw_handle()) };
    // SAFETY: The handle is open.
    succeeded(unsafe {
        SetHandleInformation(theirs.as_raw_handle(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT)
    })?;
    Ok((ours, theirs))
}

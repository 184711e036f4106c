//! Having what is written go to the disk while more is written, so that a sync at the end has little to wait for.
//!
//! JUSTIFICATION: `sync_file_range` has no safe wrapper in `rustix` or `nix`.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "see JUSTIFICATION"))]

use std::fs::File;

/// How much is written between two such requests, in bytes.
const STEP: u64 = 8 << 20;

/// How far a file that is written from its beginning to its end is on its way to the disk.
#[derive(Debug, Default)]
pub(super) struct Writeback {
    begun: u64,
}

impl Writeback {
    /// Notes that the file is `size` bytes long by now.
    pub(super) fn written(&mut self, file: &File, size: u64) {
        if size - self.begun >= STEP {
            begin(file, self.begun, size - self.begun);
            self.begun = size;
        }
    }
}

/// Has the disk begin with a part of a file, and waits for nothing. The sync at the end counts, so no answer is needed.
#[cfg(target_os = "linux")]
fn begin(file: &File, offset: u64, length: u64) {
    use std::os::fd::AsRawFd as _;
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: The call takes numbers only, and the file is open.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn begin(_: &File, _: u64, _: u64) {}

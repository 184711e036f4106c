//! Doing something in a root file system that nobody vouches for.

use std::{io, panic::resume_unwind, path::Path, thread};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::{chdir, chroot},
};

/// As much as the deepest tree that paths can name takes, a few stack frames a level, in bytes.
const STACK: usize = 32 << 20;

/// Does `work` on a thread for which `root` is the root of all paths, so that the kernel itself resolves names, and
/// no symbolic link leads out.
pub(super) fn within<T: Send>(root: &Path, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || {
            unshare(CloneFlags::CLONE_FS)?;
            chroot(root)?;
            chdir("/")?;
            Ok(work())
        })?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

//! Locks on files, which the kernel releases when their holder dies.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

/// How often a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(25);

/// Locks a file and makes it if it is not there; `None` when somebody else holds it.
pub(super) fn try_lock(path: &Path) -> io::Result<Option<File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for a lock. Asks again and again instead of blocking a thread, so that the future can be dropped.
pub(super) async fn lock(path: &Path) -> io::Result<File> {
    loop {
        if let Some(file) = try_lock(path)? {
            return Ok(file);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

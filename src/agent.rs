//! What is the agent of SSH and what is a key.

use std::path::Path;

/// Whether programs talk to an agent there.
#[cfg(unix)]
pub(crate) fn is_agent(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.metadata().is_ok_and(|found| found.file_type().is_socket())
}

/// Whether programs talk to an agent there: a named pipe.
#[cfg(windows)]
pub(crate) fn is_agent(path: &Path) -> bool {
    path.to_string_lossy().replace('/', "\\").to_ascii_lowercase().starts_with(r"\\.\pipe\")
}

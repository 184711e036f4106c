//! What this machine runs: by its own CPU, and by emulation; and how much memory it has, and how many files may be open.

#[cfg(any(target_os = "linux", windows))]
pub(crate) mod binfmt;
#[cfg(target_os = "linux")]
pub(crate) mod cpu;
#[cfg(unix)]
pub(crate) mod files;
pub(crate) mod memory;

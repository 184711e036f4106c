//! What this machine runs: by its own CPU, and by emulation; and how much memory it has.

#[cfg(any(target_os = "linux", windows))]
pub(crate) mod binfmt;
#[cfg(target_os = "linux")]
pub(crate) mod cpu;
pub(crate) mod memory;

//! What this machine runs: by its own CPU, and by emulation.

pub(crate) mod binfmt;
#[cfg(target_os = "linux")]
pub(crate) mod cpu;

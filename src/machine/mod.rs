//! What this machine runs: by its own CPU, and by emulation.

pub(crate) mod binfmt;
pub(crate) mod cpu;

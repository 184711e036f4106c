//! The supervisor with scripted backends: every promise of the core, without a process or a disk.

mod builds;
mod core;
mod kept;
mod queue;

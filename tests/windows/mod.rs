//! The calls of Windows, against the simulator of the Host Compute Service.

mod backups;
mod builds;
mod ends;
mod faults;
mod older;
mod order;
mod scene;
mod sequence;

//! The calls of Windows, against the simulator of the Host Compute Service, and against Windows itself (`real`).

mod backups;
mod build_ends;
mod build_faults;
mod builds;
mod ends;
mod faults;
mod networks;
mod older;
mod order;
mod plain;
mod real;
mod scene;
mod sequence;
mod whole;
mod wsl;

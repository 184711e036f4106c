//! The calls of Windows, against the simulator of the Host Compute Service, and against Windows itself (`real`).

mod backups;
mod builds;
mod ends;
mod faults;
mod older;
mod order;
mod real;
mod scene;
mod sequence;

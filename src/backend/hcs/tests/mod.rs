//! Builds of Windows images in a Windows that only tests have.

mod cancelled;
mod crashed;
mod faults;
mod flow;
mod networked;
mod pruned;
mod refused;
mod scene;

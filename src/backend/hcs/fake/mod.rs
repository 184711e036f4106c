//! A Windows in memory, for tests: what it is asked must be right in every way, and in the right order.
//!
//! Layers stand on the disk as this one writes them; which of them are active, which containers there are and what is
//! in writable layers is in the [`World`], which can be kept in a file, so that it outlives the process that dies.

mod answers;
mod changes;
mod codes;
mod disk;
mod documents;
mod files;
mod layers;
mod networks;
mod process;
mod program;
mod systems;
mod world;

pub(super) use world::{FakeWindows, Moment};

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;

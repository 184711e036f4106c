//! The guard of Linux: a helper process that holds one end of a socket (its lifeline) whose other end only the
//! orchestrator has. When that end closes, for whatever reason, the guard kills what it runs, cleans up, and only then
//! exits. Each command runs in a *cell*: a pid and mount namespace of its own, so killing its first process kills
//! everything in it and removes its mounts.

mod cell;
mod cleanup;
mod client;
mod descendants;
mod entry;
pub(crate) mod group;
mod layers;
mod process;
mod programs;
mod protocol;
mod running;
mod session;

use super::command;
pub use client::{Abandoned, Guard, Launch, Message};
pub(crate) use entry::serve;
pub(crate) use programs::Programs;
pub use protocol::{Cleanup, CleanupCommand, Emptied, Layers, Mode, Work};

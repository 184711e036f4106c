//! A helper process that ends with this one and takes everything it started along.
//!
//! A killed build must leave no process, mount, container or temporary file, even when the orchestrator itself
//! was killed with SIGKILL. So the work is done under a *guard*: this program, executed again, which holds one
//! end of a socket (its lifeline) whose other end only the orchestrator has. When that end closes, for whatever
//! reason, the guard kills what it runs, cleans up, and only then exits. Each command runs in a *cell*: a pid and
//! mount namespace of its own, so killing its first process kills everything in it and removes its mounts.

mod cell;
mod cleanup;
mod client;
mod descendants;
mod entry;
pub(crate) mod group;
mod process;
mod protocol;
mod session;

pub use client::{Abandoned, Guard, GuardError, Launch, Message};
pub(crate) use entry::serve;
pub use protocol::{Cleanup, CleanupCommand, Command, Emptied, Exit, Mode, Work};

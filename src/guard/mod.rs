//! Processes that end with this one, and take everything they started along.
//!
//! A killed build must leave no process, mount, container or temporary file, even when the orchestrator itself was
//! killed with SIGKILL. On Linux the work is done under a *guard*: this program, executed again. On Windows the kernel
//! ends the processes of a job with the last handle on it. Elsewhere they are in a group of their own, which ends
//! whenever this process ends in any other way than by SIGKILL.

mod command;
#[cfg(not(target_os = "linux"))]
mod group;
#[cfg(target_os = "linux")]
mod linux;

pub use command::{Command, Exit, GuardError};
#[cfg(not(target_os = "linux"))]
pub(crate) use group::Programs;
#[cfg(target_os = "linux")]
pub use linux::{Abandoned, Cleanup, CleanupCommand, Emptied, Guard, Launch, Layers, Message, Mode, Work};
#[cfg(target_os = "linux")]
pub(crate) use linux::{Programs, group, serve};

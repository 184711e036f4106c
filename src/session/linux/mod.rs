//! The session of Linux: namespaces, overlays and control groups, in helper processes.

mod client;
mod exhausted;
mod groups;
mod probe;
mod slot;
mod trial;
mod userns;
mod wire;
mod worker;

use super::{error, outcome, step};

pub use client::{LinuxSession, SessionOptions};
pub(crate) use groups::{Below, Hierarchies};
pub use probe::Snapshots;
pub(crate) use worker::{serve, work};

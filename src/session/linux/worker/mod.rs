//! What the helper processes of a session do. Nothing here runs in the process that embeds polyarch.

mod agent;
mod birth;
mod caches;
mod chain;
mod changes;
mod compare;
mod copy;
mod emulate;
mod entry;
mod filter;
mod limits;
mod memory;
mod mounts;
mod overlay;
mod plan;
mod records;
mod rights;
mod root;
mod stubs;
mod system;
mod task;
mod unpack;
mod user;
mod within;

pub(crate) use entry::{serve, work};

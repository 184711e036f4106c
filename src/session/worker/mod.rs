//! What the helper processes of a session do. Nothing here runs in the process that embeds polyarch.

mod birth;
mod chain;
mod changes;
mod compare;
mod entry;
mod overlay;
mod plan;
mod records;
mod root;
mod stubs;
mod system;
mod task;
mod unpack;
mod user;
mod within;

pub(crate) use entry::serve;

//! The instructions of a stage, each carried out once for each key.

mod add;
mod command;
mod copy;
mod dispatch;
mod mounts;
mod output;
mod ready;
mod run;
mod workdir;

pub(super) use copy::{copy_context, has_documents};
pub(super) use dispatch::Step;

//! The instructions of a stage, each carried out once for each key.

mod copy;
mod dispatch;
mod workdir;

pub(super) use copy::{copy_context, has_documents};
pub(super) use dispatch::Step;

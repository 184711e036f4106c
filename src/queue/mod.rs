//! What is written down of builds that wait, run and have ended.

mod build_name;
mod folder;
mod identity;
pub mod log;
mod private;
mod run_lock;

pub use folder::{DataFolder, FolderError};
pub use identity::{SpecFormError, from_json, is_pinned, to_json};
pub use run_lock::RunLock;

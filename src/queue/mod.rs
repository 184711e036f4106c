//! Builds that wait, run and have ended, as they survive whatever ends this process.
//!
//! Records are in a database, the events of each build in a file of lines. Both are written before anybody is told.

mod about;
mod build_name;
mod builds;
mod counts;
mod folder;
mod identity;
mod key;
pub mod log;
mod private;
pub mod records;
mod retention;
mod run_lock;
mod state;

pub use about::{About, Lane, LaneState};
pub use builds::{
    BuildQueue, BuildsLoad, BuildsReport, QueueError, QueueOptions, TenantOptions, WaitingBuild,
};
pub use counts::Counts;
pub use folder::{DataFolder, FolderError};
pub use identity::{SpecFormError, from_json, is_pinned, to_json};
pub use key::{Key, KeyError};
pub use retention::{EndedBuild, Forgotten, Retention, RetentionError, carry_out, choose};
pub use run_lock::RunLock;
pub use state::{BuildState, Supersede, SupersedePolicy};

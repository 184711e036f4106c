//! Running the builds of a folder: whose turn it is, and what becomes of each.
//!
//! `runner.rs` is one task that knows what waits and what runs; an `attempt.rs` runs one build beside it. A change is
//! written down first and told to the runner afterwards, so whatever is lost in between is found when the folder is
//! opened again.

mod attempt;
mod disk;
mod ends;
mod error;
mod notes;
mod opening;
mod options;
mod queue;
mod recovery;
mod report;
mod runner;
mod stop;
mod waiting;

pub use error::QueueError;
pub use options::{QueueOptions, TenantOptions};
pub use queue::BuildQueue;
pub use report::{BuildsLoad, BuildsReport, WaitingBuild};

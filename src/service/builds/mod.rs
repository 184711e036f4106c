//! Builds: what is asked for, and what is known of them.

mod answer;
mod context;
mod document;
mod handlers;
mod list;
mod log;
mod spec;
mod submission;

pub use answer::{BuildDocument, FailureDocument, LaneDocument, WaitingDocument};
pub(super) use handlers::routes;
pub use list::{ListFilter, ListPage};
pub use submission::{Submission, Supersede, Timeouts};

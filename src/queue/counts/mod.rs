//! What is counted of builds, for whoever watches over them: of events and ends, in one place, whatever the backend.

mod attempt;
mod counters;
mod disk;
mod labels;
mod store_size;

pub(super) use attempt::AttemptCounts;
pub use counters::Counts;
pub(super) use store_size::StoreSize;

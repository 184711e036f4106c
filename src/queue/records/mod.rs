//! The records of builds: which there are, what each is at the moment, and how it ended.
//!
//! They are in one SQLite database, which several processes may read and write at once. What was acknowledged is on the
//! disk, whatever ends the process or the machine afterwards.

mod change;
mod error;
mod facade;
mod pool;
mod read;
mod row;
mod schema;
mod submission;
mod submit;
#[cfg(test)]
mod tests;
mod writer;

pub use change::{CancelRequest, End, Requeued};
pub use error::RecordsError;
pub use facade::Records;
pub use pool::RecordsReader;
pub use read::{List, Page};
pub use row::BuildRecord;
pub use submission::{How, NewBuild, Submitted};

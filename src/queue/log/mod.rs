//! The events of each build, as lines of a file that only grows.
//!
//! The number of a line, from 0, is the sequence number of its event. A line is in the file before any reader sees it,
//! so nobody has seen what is not there after a crash. Readers read the file from where they are: one that stalls costs
//! no more than one that does not.

mod error;
mod frame;
mod live;
mod logs;
mod reader;
mod scan;
mod tail;
#[cfg(test)]
mod tests;
mod text;
mod writer;

pub use error::LogError;
pub use logs::{LARGEST_LOG, Logs};
pub use reader::{Follow, LogLine, LogReader};
pub use writer::LogWriter;

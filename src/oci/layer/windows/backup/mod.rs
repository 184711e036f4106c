//! What `BackupRead` gives and `BackupWrite` takes: a file as a row of streams.
//!
//! Sources: Microsoft, "`WIN32_STREAM_ID` structure" and "Backup API"; [MS-FSCC] 2.1.2 and 2.4.15 for what is in some of
//! them.

mod attributes;
mod error;
mod header;
mod reader;
mod reparse;
mod writer;

pub use attributes::{AttributeError, ExtendedAttribute};
pub use error::BackupError;
pub use header::{SPARSE, StreamHeader, StreamKind};
pub use reader::BackupReader;
pub use reparse::{ReparseError, ReparsePoint};
pub use writer::BackupWriter;

#[cfg(test)]
mod tests;

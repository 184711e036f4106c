//! From what Windows says that a step has changed to a layer.
//!
//! Sources: hcsshim, `pkg/ociwclayer/export.go` and `internal/wclayer/legacy.go`; go-winio, `backuptar/tar.go`.

mod content;
mod deletions;
mod error;
mod facts;
mod layer;
mod records;
mod source;

pub use error::ExportError;
pub use layer::{ExportOptions, export};
pub use source::{ExportSource, ReadSeek, SourceEntry};

#[cfg(test)]
mod tests;

//! From a layer to what is made of it on a disk of Windows.
//!
//! Source: hcsshim, `pkg/ociwclayer/import.go`, `internal/wclayer/legacy.go`, `importlayer.go` and
//! `baselayerwriter.go`.

mod error;
mod layer;
mod members;
mod records;
mod sink;
mod stream;

pub use error::ImportError;
pub use layer::import;
pub use sink::{Form, ImportSink, Imported, ImportedLink, Place};

#[cfg(test)]
mod tests;

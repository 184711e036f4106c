//! Writing layers: the same entries give the same bytes, on any machine and with any number of threads.

mod blocks;
mod check;
mod compression;
mod entry;
mod error;
mod header;
mod pipeline;
mod restore;
pub mod windows;
mod writer;

pub use blocks::{BlockTable, Reusable};
pub use compression::{Compression, Level};
pub(crate) use entry::is_kept;
pub use entry::{EntryKind, LayerEntry, Mtime, Policy};
pub use error::LayerError;
pub(crate) use header::{BLOCK, padding, write as write_header};
pub use restore::store_archive;
pub use writer::{Layer, LayerOptions, LayerWriter};

//! What a store holds, and making room in it.
//!
//! `scan` finds what is there, `decide` chooses what goes, `remove` removes it. What a name needs never goes, and
//! what a running build uses stays until it has ended: blobs by its [lease](crate::oci::Lease), snapshots, caches
//! and workers by their locks. A directory gets another name before anything in it goes, and a record goes before
//! its blob, so that a kill at any moment leaves less of a cache and nothing half there.

mod decide;
mod disk;
mod entry;
mod remove;
mod report;
mod run;
mod scan;

pub use decide::PruneOptions;
pub(crate) use disk::size as occupied;
pub use entry::Kind;
pub use report::{KeptItem, PruneReport, UsageItem, UsageReport};
pub(crate) use run::{prune, usage};

//! Indexes of images that exist: merging what several machines built, looking into indexes, judging them, and copying
//! them between registries, stores and layouts.
//!
//! What is decided is decided by pure functions ([`merge`], [`lint`]); [`Indexes`] brings the documents and carries the
//! decisions out.

mod append;
mod copy;
mod create;
mod error;
mod gather;
mod known;
mod lint;
mod location;
mod look;
mod merge;
mod parts;
mod platform;
mod rule;
mod tree;

pub use copy::Copied;
pub use create::{Creation, IndexAnnotations, Merged};
pub use error::IndexError;
pub use gather::Indexes;
pub use lint::lint;
pub use location::{Destination, Location, LocationError};
pub use merge::{MergeError, merge, select};
pub use parts::{Part, PartContent};
pub(crate) use parts::{REFERENCE_DIGEST, REFERENCE_TYPE};
pub use rule::{Finding, IndexRule, Severity};
pub use tree::{ConfigFacts, Content, ImageFacts, LayerFacts, Node, Tree};

//! OCI content: the store, names, references, indexes and layouts.

pub mod index;
pub mod layer;
pub mod layout;
mod layout_read;
pub mod media_type;
mod names;
mod reference;
mod store;

pub use layout_read::{LayoutReadError, read_layout};
pub use names::{NamedImage, Names};
pub use reference::{Reference, ReferenceError};
pub use store::{BlobWriter, LARGEST_DOCUMENT, Store, StoreError, digest_of};

//! OCI content: the store, references, indexes and layouts.

mod store;

pub use store::{BlobWriter, LARGEST_DOCUMENT, Store, StoreError, digest_of};

//! OCI content: the store, names, references, indexes and layouts.

mod error;
mod format;
pub mod index;
pub mod layer;
pub mod layout;
mod layout_read;
mod layout_update;
mod lease;
pub mod media_type;
mod names;
pub(crate) mod origin;
mod recency;
mod reference;
mod room;
mod scopes;
mod scratch;
mod store;
mod sweep;
mod writeback;

pub use error::StoreError;
pub(crate) use format::make_readable;
pub use layout_read::{LayoutReadError, read_layout};
pub(crate) use layout_read::{copy_layout_blob, read_layout_manifest};
pub(crate) use layout_update::{add_to_layout, check_layout, layout_has_blob};
pub use lease::Lease;
pub use names::{NamedImage, Names};
pub(crate) use recency::touch;
pub use reference::{Reference, ReferenceError};
pub(crate) use store::MOST_LAYERS;
pub use store::{BlobWriter, LARGEST_DOCUMENT, Store, digest_of};
pub use sweep::{StoredBlob, SweptBlobs};

//! The buildah backend: builds Linux images with the `buildah` program, one process for each platform.
//!
//! Each build takes a *worker*, a storage root of its own for one exact platform, and runs under a
//! [guard](crate::guard). Base images stand in read-only stores that all workers share, and every `FROM` is
//! pinned to an image id there, so that no name can stand for an image of another CPU.

mod backend;
mod bases;
mod build;
mod command;
mod export;
mod failure;
mod layout;
mod lock;
mod machine;
mod output;
mod pin;
mod probe;
mod reference;
mod storage;
mod trial;
mod version;
mod worker;

pub use backend::{BuildahBackend, BuildahOptions};
pub use version::{BuildahVersion, supports_heredocs};

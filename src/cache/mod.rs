//! Caches elsewhere: what steps led to, brought from and taken to registries, directories and images.
//!
//! A step is known by its key, a hash of what decides its result, which is the same on every machine. So a cache is a
//! document of keys and results, and the layers that these results are about. It is an image manifest whose config is
//! the document, so that every registry and every OCI layout keeps it whole.

mod document;
mod error;
mod export;
#[cfg(fuzzing)]
pub mod fuzzing;
mod import;
mod layers;
mod manifest;
mod place;

pub(crate) use document::{INLINE, KnownLayer, KnownStep, Steps, compression};
pub use error::CacheError;
pub(crate) use export::Exporter;
pub(crate) use import::import;
pub(crate) use layers::fetch;
pub use place::{CacheExport, CacheMode, CachePlace, CacheSource};

//! Outputs of a build: what is made of the images in the store, once for every backend.

mod beside;
mod contents;
mod destination;
mod docker;
mod error;
mod files;
mod form;
mod kind;
mod layers;
mod load;
mod local;
mod merge;

mod recast;
mod redate;
mod rootfs;
mod tar;
mod write;

pub use error::OutputError;
pub(crate) use files::{absent_layers, read_files};
pub use form::{ImageForm, MediaTypes};
pub use kind::{Destination, ImageOptions, Output, Push};
pub(crate) use load::Loader;
pub(crate) use recast::recast;
pub(crate) use write::Writer;

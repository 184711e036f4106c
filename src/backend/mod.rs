//! What turns a request into an image in the store, and which of it this machine has.

#[cfg(any(target_os = "linux", windows))]
pub mod buildah;
mod detect;
pub mod hcs;
mod native;
pub mod sandbox;
mod scoped;

pub use detect::{DetectOptions, detect, ways_out};

//! The buildah backend: builds Linux images with the `buildah` program, one process for each platform.
//!
//! Each build takes a *worker*, a storage root of its own for one exact platform, and runs under a
//! [guard](crate::guard). Base images stand in read-only stores that all workers share, and every `FROM` is
//! pinned to an image id there, so that no name can stand for an image of another CPU.

#[cfg(target_os = "linux")]
mod backend;
#[cfg(target_os = "linux")]
mod bases;
#[cfg(target_os = "linux")]
mod build;
#[cfg(target_os = "linux")]
mod command;
mod export;
mod failure;
mod flags;
mod image_config;
mod layout;
#[cfg(target_os = "linux")]
mod lock;
#[cfg(target_os = "linux")]
mod machine;
mod output;
mod pin;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod reference;
#[cfg(target_os = "linux")]
mod sharing;
#[cfg(target_os = "linux")]
mod storage;
#[cfg(target_os = "linux")]
mod trial;
mod version;
#[cfg(target_os = "linux")]
mod worker;
pub mod wsl;

#[cfg(target_os = "linux")]
pub use backend::{BuildahBackend, BuildahOptions};
pub use version::{BuildahVersion, supports_heredocs};

//! The HTTP API against a real listener on loopback, over a desk that keeps everything in memory.

mod access;
mod connections;
mod contexts;
mod description;
mod desk;
mod documents;
mod embedded;
mod encrypted;
mod lifecycle;
pub(crate) mod scene;
mod streams;
#[cfg(target_os = "linux")]
mod subscribers;

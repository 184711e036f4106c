//! What several tests share.

#[cfg(target_os = "linux")]
pub(crate) mod bases;
#[cfg(target_os = "linux")]
pub(crate) mod buildah;
#[cfg(target_os = "linux")]
pub(crate) mod command;
#[cfg(target_os = "linux")]
pub(crate) mod git;
#[cfg(target_os = "linux")]
pub(crate) mod images;
#[cfg(target_os = "linux")]
pub(crate) mod lies;
#[cfg(target_os = "linux")]
pub(crate) mod machines;
#[cfg(target_os = "linux")]
pub(crate) mod peaks;
pub(crate) mod registry;
pub(crate) mod registry_proxy;
pub(crate) mod registry_walk;
#[cfg(target_os = "linux")]
pub(crate) mod session;
pub(crate) mod tools;
pub(crate) mod weather;
pub(crate) mod web;
#[cfg(target_os = "linux")]
pub(crate) mod windows;

//! Builds one container image for many platforms at once and publishes it as one OCI image index.

pub mod backend;
pub mod dockerfile;
pub mod guard;
pub mod oci;
pub mod registry;

//! polyarch
pub mod dockerfile;
pub mod oci;

//! polyarch
pub mod oci;

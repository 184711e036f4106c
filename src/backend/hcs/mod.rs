//! Builds Windows images with the Host Compute Service of Windows.

mod api;
mod error;
mod guid;
mod version;

pub use api::{
    ComputeSystem, FileAttributes, HcsApi, HcsProcess, HcsResult, LayerBelow, ReadPipe, StartedProcess,
};
pub use error::HcsError;
pub use guid::Guid;
pub use version::{OsVersion, OsVersionError};

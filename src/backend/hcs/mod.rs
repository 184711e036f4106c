//! Builds Windows images with the Host Compute Service of Windows.
//!
//! Layers of images stand on the disk as Windows wants them, each once. A step is a writable layer on top of those, a
//! container that sees it, and a process in that; what it changed is exported as the next layer. Whatever is made in
//! Windows is noted in a journal first, so that the next process removes what a killed one has left.
//!
//! Windows is called through [`HcsApi`] alone, so all of this runs on every system against another answer to its calls.

mod api;
mod backend;
mod code;
mod compatibility;
#[cfg(windows)]
mod dll;
mod document;
#[cfg(test)]
mod document_tests;
mod error;
mod failure;
#[cfg(test)]
mod fake;
mod fault;
#[cfg(test)]
mod fault_tests;
mod form;
mod guid;
mod journal;
#[cfg(test)]
mod journal_tests;
mod layers;
mod logged;
mod machine;
mod mark;
mod network;
mod process_document;
mod run;
mod scratch;
mod session;
mod stop;
mod stored;
mod task;
#[cfg(test)]
mod tests;
mod undo;
mod version;

pub use api::{
    ComputeSystem, FileAttributes, FileIdentity, HcsApi, HcsProcess, HcsResult, LayerBelow, ReadPipe,
    StartedProcess,
};
pub use backend::HcsBackend;
pub use compatibility::{Incompatible, Isolation, isolation};
#[cfg(windows)]
pub use dll::Dlls;
pub use document::{Container, Disk};
pub use error::HcsError;
pub use fault::{FaultKind, Meaning, meaning};
pub use guid::{Guid, GuidError};
pub use machine::HcsOptions;
pub use network::HcnApi;
pub use process_document::{Process, ProcessStatus, command_line};
pub use session::HcsSession;
pub(crate) use stored::{LayerRemoved, StoredLayer, StoredLayers};
pub use version::{OsVersion, OsVersionError};

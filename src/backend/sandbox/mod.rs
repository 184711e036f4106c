//! The sandbox backend: polyarch's own engine, with nothing installed, no root and no daemon.
//!
//! It puts together images whose steps run nothing; whatever runs a command is routed elsewhere.

mod backend;

pub use backend::{SandboxBackend, SandboxOptions};

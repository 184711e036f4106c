//! Attestations: statements about the images of a build, which are in the index beside them.
//!
//! What is said is made by pure functions; `storage` alone writes, and only what `redact` has looked through.
//!
//! Source: BuildKit, `docs/attestations`.

mod facts;
#[cfg(fuzzing)]
pub mod fuzzing;
mod layers;
mod make;
mod option;
mod packages;
mod provenance;
mod purl;
mod redact;
mod sbom;
mod spdx;
mod statement;
mod steps;
mod storage;

pub(crate) use facts::Facts;
pub(crate) use make::{Said, attest};
pub use option::{AttestationError, Attestations, Provenance, ProvenanceMode};
pub(crate) use statement::Statement;

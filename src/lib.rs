//! Builds one container image for many platforms at once and publishes it as one OCI image index.
//!
//! [`Orchestrator`] is the way in: give it a [`BuildSpec`], await the [`BuildHandle`], and get a [`Receipt`] or
//! an [`Error`]. Everything else is what it is made of, for those who want a part of it.
//!
//! ```no_run
//! # async fn example() -> Result<(), polyarch::Error> {
//! use polyarch::{BuildSpec, Orchestrator, Output};
//!
//! let orchestrator = Orchestrator::builder().start().await?;
//! let spec = BuildSpec::new("./app")
//!     .platforms(["linux/amd64", "linux/arm64"].into_iter().filter_map(|platform| platform.parse().ok()))
//!     .output(Output::oci_archive("app.tar"));
//! let receipt = orchestrator.build(spec).await?;
//! assert_eq!(receipt.images.len(), 2);
//! # Ok(())
//! # }
//! ```

mod agent;
pub mod archive;
mod assemble;
#[cfg(not(fuzzing))]
mod attest;
#[cfg(fuzzing)]
pub mod attest;
pub mod backend;
pub mod bake;
#[cfg(not(fuzzing))]
mod cache;
#[cfg(fuzzing)]
pub mod cache;
mod caches;
mod check;
#[doc(hidden)]
pub mod cli;
pub mod config;
pub mod context;
pub mod dockerfile;
mod draft;
pub mod engine;
mod error;
mod fence;
pub mod fetch;
mod file_at;
#[cfg(windows)]
mod file_information;
mod flow;
mod folder;
mod gather;
pub mod guard;
mod held;
pub mod helper;
pub mod images;
pub mod index;
mod machine;
pub mod oci;
mod orchestrator;
mod output;
mod pattern;
mod prepare;
pub mod prune;
mod quantity;
pub mod queue;
mod receipt;
pub mod registry;
mod removal;
mod room;
pub mod service;
pub mod session;
mod sources;
mod spec;
mod time;
mod time_limits;
pub mod timings;
pub mod trace;
mod values;
mod whole_file;

pub use attest::{AttestationError, Attestations, Provenance, ProvenanceMode};
pub use cache::{CacheError, CacheExport, CacheMode, CachePlace, CacheSource};
pub use check::{CheckReport, check};
pub use error::{Error, FailedBuild, SpecError};
pub use gather::GatherError;
pub use helper::init;
pub use orchestrator::{BuildHandle, Orchestrator, OrchestratorBuilder};
pub use output::{Destination, ImageForm, ImageOptions, MediaTypes, Output, OutputError, Push};
pub use pattern::PlatformPattern;
pub use polyarch_actors as actors;
pub use receipt::{MissingPlatform, PushedReference, Receipt, ReceiptError};
pub use sources::{ContextInput, NamedInput, SourceTextError};
pub use spec::{Annotation, AnnotationError, AnnotationLevel, BuildSpec, DockerfileInput};
pub use time_limits::TimeLimits;
pub use values::PlatformValues;

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

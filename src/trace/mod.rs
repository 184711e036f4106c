//! Spans: where in a build something happens, for logs and for traces.
//!
//! The spans of a build are made of its events, in the one place where these are recorded, so that every backend has
//! them without doing anything for them. Code that runs for a build runs in the innermost of them, so that lines of the
//! log say of which build and platform they are. No text of a build is in a span, but its names: neither what a step
//! runs, nor a value of an argument, nor the message of an error.

mod fields;
mod of_build;
mod parent;
mod platform;

pub use of_build::TARGET;
pub(crate) use of_build::{Spans, exporting, of_build};
pub use parent::{TraceParent, TraceParentError};

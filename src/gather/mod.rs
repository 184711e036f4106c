//! Everything that a build is made of, brought to this machine: the context, the named contexts, the Dockerfile.
//!
//! What is fetched lies in folders of the store that go with the build, and are swept by the next process when
//! this one is killed. A backend sees directories and images, wherever they are from.

mod contexts;
mod dockerfile;
mod dockerfiles;
mod error;
mod stdin;

pub(crate) use contexts::{Gathered, Part, gather};
pub use error::GatherError;

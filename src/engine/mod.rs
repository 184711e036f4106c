//! The native engine: builds images from Dockerfiles with nothing installed.
//!
//! A COPY is a layer, not a copy: files go from where they are into a compressed blob, once. What a step has to
//! know of the layers below it (directories, symbolic links, owners by name) comes from an index of their paths,
//! never from an unpacked file system. Each step has a key, a hash of what decides its result: the layers below it,
//! the instruction and the content of its inputs. A key that led to a layer once is never carried out again, by
//! whichever build, platform or process.

mod add;
mod bases;
mod build;
mod chain;
mod changes;
mod choice;
mod commands;
mod config;
mod copy;
mod digests;
#[expect(clippy::module_inception, reason = "the engine itself, among its parts")]
mod engine;
mod error;
mod flight;
mod imports;
mod index;
mod key;
mod layer;
mod metadata;
mod meter;
mod mode;
mod node;
mod origins;
mod records;
mod remembered;
mod reuse;
mod seal;
mod signal;
mod source;
mod spool;
mod stage;
mod step;
mod suits;
mod telling;
mod tree;
mod users;
mod windows;

#[cfg(any(target_os = "linux", windows))]
pub(crate) use bases::{Base, Puller};
pub use commands::Commands;
pub use engine::{Engine, EngineOptions};
pub use seal::Assembled;

//! Build definitions: the files that `docker buildx bake` reads, from text to targets.
//!
//! Nothing here does any I/O: [`Definition::read`] takes the texts and what the environment says, and
//! [`Definition::resolve`] gives the targets that are asked for.
//!
//! Source: buildx, `docs/bake-reference.md`; `bake/`.

mod attributes;
mod block;
mod calls;
mod compose;
mod definition;
mod entry;
mod error;
mod eval;
mod functions;
mod interpolate;
mod json;
mod json_text;
mod kind;
mod matrix;
mod operators;
mod overrides;
mod places;
mod platform_overrides;
mod resolve;
mod scope;
mod target;
mod template;
mod value;

#[cfg(test)]
mod tests;

pub use definition::{Definition, Group, Surroundings, VariableInfo};
pub(crate) use entry::split_fields;
pub use entry::{Entry, Secret, SshKey};
pub use error::{BakeError, BakeFault, Place};
pub use platform_overrides::PlatformOverride;
pub(crate) use resolve::needs;
pub use resolve::{Resolved, TARGET_CONTEXT};
pub use target::Target;

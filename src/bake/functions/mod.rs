//! The functions of definitions, by name.
//!
//! Source: buildx, `docs/bake-stdlib.md`; go-cty, `cty/function/stdlib`.

mod arguments;
mod collections;
mod dates;
mod encoding;
mod format;
mod numbers;
mod patterns;
mod sets;
mod table;
mod text;

pub(super) use table::{find, names};

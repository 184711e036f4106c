//! Build checks: what a Dockerfile could do better, each with its rule and its place.
//!
//! The rules, their names and their messages are those of BuildKit's linter (`frontend/dockerfile/linter/ruleset.go`,
//! `dockerfile2llb/validations.go`). Two of them are not here: `DuplicateStageName` is a mistake already when the
//! file is parsed, and `InvalidBaseImagePlatform` is only known once a base image has been fetched.

mod casing;
mod comments;
mod found;
mod from;
mod ignored;
mod instructions;
mod options;
mod ports;
mod rule;
mod run;
mod source;
mod variables;

pub use found::Warning;
pub use options::{CheckOptionError, CheckOptions};
pub use rule::Rule;
pub use run::{LintOptions, lint};

//! The Dockerfile frontend: text in, a plan for one platform out.
//!
//! [`Dockerfile::parse`] reads the text in two layers. The lexer turns physical lines into logical ones (parser
//! directives, comments, continuations, heredocs); the parser turns each logical line into an [`Instruction`].
//! [`plan()`] then resolves what one target on one platform needs. Everything follows BuildKit's rules
//! (`moby/buildkit`, `frontend/dockerfile`), and everything is pure: no file, no network, no environment.

mod ast;
mod check;
mod error;
mod expand;
mod flags;
mod healthcheck;
mod heredoc;
mod instructions;
mod json;
mod lexer;
mod links;
pub mod lint;
mod locate;
mod mount;
mod parser;
mod pattern;
mod place;
mod plan;
mod scope;
mod shell;
mod snippet;
mod statement;
mod suggest;
mod variables;
mod windows;
mod windows_run;

pub use ast::{
    Add, ArgDeclaration, CommandLine, Copy, Dockerfile, Healthcheck, Heredoc, Instruction, InstructionKind,
    KeyValue, Mount, MountOption, Network, Onbuild, Probe, Run, Security, Sources, Stage, Word,
};
pub(crate) use error::LARGEST_DOCKERFILE;
pub use error::{DockerfileError, ErrorKind, Span};
pub use expand::{ExpandError, Expander, Expansion};
pub use lexer::Directives;
pub use plan::{Base, ExternalImage, Plan, PlanOptions, PlannedStage, plan, stage_number};
pub use snippet::snippet;
pub(crate) use suggest::nearest;
pub use variables::Values;
pub(crate) use variables::{Variables, folded};
pub use windows::{WINDOWS_SHELL, WindowsPathError, windows_path, windows_workdir};
pub use windows_run::WindowsRunError;
pub(crate) use windows_run::{first_unfit_run, unfit_run};

#[cfg(test)]
mod tests;

//! Tests of the frontend, a file for each layer.

mod expand;
mod golden;
mod lexer;
mod lint;
mod lint_variables;
mod mistakes;
mod parser;
mod plan;
mod properties;

use super::{Dockerfile, DockerfileError, Instruction, InstructionKind};

/// Parses a file that has no mistake.
fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse("Dockerfile", text).unwrap_or_else(|error| panic!("{error}\n{}", error.snippet(text)))
}

/// Parses a file that has one.
fn parse_error(text: &str) -> DockerfileError {
    Dockerfile::parse("Dockerfile", text).expect_err(text)
}

/// The instructions of the only stage, below `FROM scratch`.
fn instructions(text: &str) -> Vec<InstructionKind> {
    let stages = parse(&format!("FROM scratch\n{text}")).stages;
    let [stage] = stages.as_slice() else { panic!("one stage is expected: {text}") };
    stage.instructions.iter().map(|Instruction { kind, .. }| kind.clone()).collect()
}

/// The one instruction below `FROM scratch`.
fn instruction(text: &str) -> InstructionKind {
    let mut all = instructions(text);
    assert_eq!(all.len(), 1, "one instruction is expected: {text}");
    all.remove(0)
}

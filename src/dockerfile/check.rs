//! Mistakes in variables that would show only when an instruction is carried out.

use std::collections::BTreeMap;

use super::{
    ast::{Instruction, InstructionKind, Sources, Stage},
    error::{ErrorKind, Mistake},
    expand::{ExpandError, Expander},
};

/// Looks at every word of a stage in which variables are expanded. Whether a variable has a value is not known here.
pub(super) fn expansions(stage: &Stage, escape: char) -> Result<(), Mistake> {
    stage.instructions.iter().try_for_each(|instruction| {
        let no_values = BTreeMap::new();
        let expander = Expander::new(escape, &no_values);
        words(instruction).into_iter().try_for_each(|word| match expander.expand(word) {
            Ok(_) | Err(ExpandError::Required { .. }) => Ok(()),
            Err(error) => Err(instruction.span.mistake(ErrorKind::from(error))),
        })
    })
}

/// The words in which BuildKit expands variables.
///
/// Source: Dockerfile reference, "Environment replacement".
pub(super) fn words(instruction: &Instruction) -> Vec<&str> {
    match &instruction.kind {
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
            pairs.iter().flat_map(|pair| [pair.key.as_str(), pair.value.as_str()]).collect()
        }
        InstructionKind::Arg(arguments) => {
            arguments.iter().filter_map(|argument| argument.default.as_deref()).collect()
        }
        InstructionKind::Copy(copy) => from_sources(&copy.sources, [&copy.chown, &copy.chmod]),
        InstructionKind::Add(add) => from_sources(&add.sources, [&add.chown, &add.chmod]),
        InstructionKind::Expose(all) | InstructionKind::Volume(all) => {
            all.iter().map(String::as_str).collect()
        }
        InstructionKind::Workdir(word) | InstructionKind::User(word) | InstructionKind::StopSignal(word) => {
            vec![word]
        }
        _ => Vec::new(),
    }
}

fn from_sources<'s>(sources: &'s Sources, flags: [&'s Option<String>; 2]) -> Vec<&'s str> {
    let paths = sources.paths.iter().chain([&sources.destination]).map(String::as_str);
    paths.chain(flags.into_iter().filter_map(Option::as_deref)).collect()
}

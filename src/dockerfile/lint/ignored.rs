//! COPY and ADD of what the build context leaves out.

use std::collections::BTreeMap;

use super::{
    super::{
        ast::{InstructionKind, Sources},
        expand::Expander,
    },
    found::Found,
    rule::Rule,
    run::Reached,
    source::{Source, Written},
};
use crate::context::Ignore;

/// Looks at sources from the build context. With exceptions in the ignore file, a folder may be left out and what
/// is in it not, so then nothing is said.
///
/// Source: BuildKit, `validateCopySourcePath`.
pub(super) fn check(
    source: &Source<'_>,
    escape: char,
    reached: &Reached,
    ignore: &Ignore,
    found: &mut Found<'_>,
) {
    if ignore.is_empty() || ignore.has_exceptions() || !found.wants(Rule::CopyIgnoredFile) {
        return;
    }
    for (_, stage) in source.stages.iter().enumerate().filter(|(number, _)| reached.contains(*number)) {
        for written in &stage.instructions {
            match &written.instruction.kind {
                InstructionKind::Copy(copy) if copy.from.is_none() => {
                    check_sources(written, "Copy", &copy.sources, escape, ignore, found);
                }
                InstructionKind::Add(add) => {
                    check_sources(written, "Add", &add.sources, escape, ignore, found);
                }
                _ => {}
            }
        }
    }
}

fn check_sources(
    written: &Written<'_>,
    verb: &str,
    sources: &Sources,
    escape: char,
    ignore: &Ignore,
    found: &mut Found<'_>,
) {
    let no_values = BTreeMap::new();
    let elsewhere = |path: &str| path.contains("://") || path.starts_with("git@") || path.contains('$');
    for path in sources.paths.iter().filter(|path| !elsewhere(path)) {
        let Ok(bare) = Expander::new(escape, &no_values).expand(path) else { continue };
        let Some(clean) = below_root(&bare.text) else { continue };
        // The context itself is left out only by what leaves out everything in it.
        let ignored = if clean.is_empty() {
            ["*", "**", "**/*"].into_iter().any(|all| ignore.has_pattern(all))
        } else {
            ignore.is_ignored(clean.as_bytes())
        };
        if ignored {
            let named = if clean.is_empty() { "." } else { &clean };
            let message = format!("Attempting to {verb} file {named:?} that is excluded by .dockerignore");
            let statement = &written.statement;
            let words = statement.blank_separated();
            let place = words.iter().find(|word| word.text == *path);
            let span = place.map_or(written.instruction.span, |word| statement.span_of(&word.range));
            found.add(Rule::CopyIgnoredFile, span, message);
        }
    }
}

/// The shortest equal path below the context; nothing where it leads out.
fn below_root(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

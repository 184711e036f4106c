//! What stands between the instructions: empty lines and comments.

use super::{
    super::{error::Span, statement::Statement},
    found::Found,
    rule::Rule,
    source::Source,
};

pub(super) fn check(source: &Source<'_>, escape: char, found: &mut Found<'_>) {
    for statement in source.statements() {
        if statement.line.empty_continuation {
            found.add(Rule::NoEmptyContinuation, last_line(statement), "Empty continuation line");
        }
        if statement.is("ARG") {
            let names = statement.quoted_words(escape).into_iter();
            let names: Vec<String> =
                names.filter_map(|word| word.text.split('=').next().map(str::to_owned)).collect();
            check_description(statement, "ARG", &names, found);
        }
    }
    for stage in &source.stages {
        let name: Vec<String> = stage.stage.name.iter().cloned().collect();
        check_description(&stage.from, "FROM", &name, found);
    }
}

/// What an instruction ends with, below its empty lines; that is where BuildKit sees the warning.
fn last_line(statement: &Statement<'_>) -> Span {
    let end = statement.arguments.end.max(statement.keyword.end);
    let last_line = statement.span_of(&(statement.keyword.start..end)).last_line;
    let starts = statement.line.text[..end].char_indices().map(|(at, _)| at);
    let first = starts.rev().take_while(|at| statement.span_of(&(*at..end)).line == last_line).last();
    statement.span_of(&(first.unwrap_or(end)..end))
}

/// A comment right above a definition is taken for its description, which begins with its name.
fn check_description(statement: &Statement<'_>, instruction: &str, names: &[String], found: &mut Found<'_>) {
    let (Some(comment), [first, others @ ..]) = (&statement.line.comment, names) else { return };
    let described = comment.split(' ').next().unwrap_or_default();
    if names.iter().any(|name| name == described) {
        return;
    }
    let name = if others.is_empty() { first } else { "<arg_key>" };
    let message = format!("Comment for {instruction} should follow the format: `# {name} <description>`");
    found.add(Rule::InvalidDefinitionDescription, statement.keyword_span(), message);
}

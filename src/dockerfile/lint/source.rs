//! A file's instructions as they are written, beside what they were understood as.

use std::ops::Range;

use super::super::{
    ast::{Dockerfile, Instruction, Stage},
    error::Span,
    lexer::Lexed,
    statement::Statement,
};

/// A whole file.
pub(super) struct Source<'s> {
    /// What stands before the first FROM.
    pub(super) globals: Vec<Statement<'s>>,
    pub(super) stages: Vec<WrittenStage<'s>>,
}

/// A FROM with what follows it.
pub(super) struct WrittenStage<'s> {
    pub(super) stage: &'s Stage,
    pub(super) from: Statement<'s>,
    pub(super) instructions: Vec<Written<'s>>,
}

/// An instruction of a stage.
pub(super) struct Written<'s> {
    pub(super) statement: Statement<'s>,
    pub(super) instruction: &'s Instruction,
}

impl<'s> Source<'s> {
    /// Puts the lines of a text beside what was parsed from it. Where the two do not belong together, the rest is
    /// left out.
    pub(super) fn new(lexed: &'s Lexed, dockerfile: &'s Dockerfile) -> Self {
        let mut source = Self { globals: Vec::new(), stages: Vec::new() };
        for line in &lexed.lines {
            let statement = Statement::split(line, 0);
            if statement.is("FROM") {
                let Some(stage) = dockerfile.stages.get(source.stages.len()) else { break };
                source.stages.push(WrittenStage { stage, from: statement, instructions: Vec::new() });
            } else if let Some(open) = source.stages.last_mut() {
                let Some(instruction) = open.stage.instructions.get(open.instructions.len()) else { break };
                open.instructions.push(Written { statement, instruction });
            } else {
                source.globals.push(statement);
            }
        }
        source
    }

    /// Every instruction, FROM included.
    pub(super) fn statements(&self) -> impl Iterator<Item = &Statement<'s>> {
        self.globals.iter().chain(self.stages.iter().flat_map(WrittenStage::statements))
    }
}

impl<'s> WrittenStage<'s> {
    /// FROM and what follows it.
    pub(super) fn statements(&self) -> impl Iterator<Item = &Statement<'s>> {
        std::iter::once(&self.from).chain(self.instructions.iter().map(|written| &written.statement))
    }
}

impl Statement<'_> {
    /// The keyword as it is written.
    pub(super) fn keyword_text(&self) -> &str {
        &self.line.text[self.keyword.clone()]
    }

    /// The place of the keyword.
    pub(super) fn keyword_span(&self) -> Span {
        self.span_of(&self.keyword)
    }

    /// The place of the first `$name` or `${name…}`, or of the whole statement.
    pub(super) fn place_of_variable(&self, name: &str) -> Span {
        self.find_variable(name).map_or_else(|| self.span(), |range| self.span_of(&range))
    }

    fn find_variable(&self, name: &str) -> Option<Range<usize>> {
        let text = &self.line.text;
        let mut from = self.keyword.end;
        while let Some(found) = text.get(from..)?.find('$') {
            let start = from + found;
            from = start + 1;
            let brace = text[from..].starts_with('{');
            let begin = from + usize::from(brace);
            let Some(rest) = text[begin..].strip_prefix(name) else { continue };
            if rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            let end = begin + name.len();
            let closed = brace && rest.starts_with('}');
            return Some(start..end + usize::from(closed));
        }
        None
    }
}

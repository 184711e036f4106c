//! Variables, quotes and escapes in a word, as BuildKit's `shell.Lex` treats them.
//!
//! The forms are `$x ${x}`, `:- - :+ + :? ?`, the patterns `# ## % %%` and the replacements `/ //`.

use std::collections::BTreeSet;

use super::{pattern::PatternError, shell::Reader, variables::Values};

/// How deep `${a:-${b:-…}}` may nest: reading it takes a stack frame a level.
pub(super) const MAX_DEPTH: usize = 50;

/// Why a word cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A quote without its partner.
    #[error("a {quote} is never closed; add the second one or escape it")]
    UnclosedQuote {
        /// The quote.
        quote: char,
    },
    /// A `${` without its `}`.
    #[error("a variable is never closed; add the missing }}")]
    UnclosedBrace,
    /// A `${x/a}` without its second slash.
    #[error("a replacement in a variable needs two slashes: ${{name/pattern/replacement}}")]
    UnclosedPattern,
    /// A `${` that no name follows.
    #[error("a variable has no name; write ${{name}}, or escape the $")]
    BadSubstitution,
    /// Something after the name that is no operator.
    #[error(
        "the variable {name} is followed by `{modifier}`, which is not supported; see ${{name:-default}} and its kin"
    )]
    UnsupportedModifier {
        /// The variable.
        name: String,
        /// What follows it.
        modifier: String,
    },
    /// A `${x:?message}` whose variable has no value.
    #[error("the variable {name} must have a value: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message that the Dockerfile gives.
        message: String,
    },
    /// A pattern that is none.
    #[error("the pattern `{pattern}` of the variable {name} cannot be used: {source}")]
    BadPattern {
        /// The variable.
        name: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// Variables within variables, without end.
    #[error("variables are nested more than {MAX_DEPTH} deep; use fewer")]
    TooDeep,
    /// A value that grows without measure.
    #[error("the expanded text would be longer than a megabyte; use shorter values")]
    TooLong,
}

/// An expanded word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// The result.
    pub text: String,
    /// The variables that had no value, whether or not a default stood in for them.
    pub unset: BTreeSet<String>,
}

/// What becomes of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// They group, and are removed.
    Remove,
    /// They group, and stay.
    Keep,
    /// They are letters like any other.
    Ignore,
}

/// Expands the variables of one scope.
#[derive(Clone, Debug)]
pub struct Expander<'e> {
    pub(super) env: &'e dyn Values,
    pub(super) escape: char,
    pub(super) quotes: Quotes,
    pub(super) keep_escapes: bool,
    pub(super) keep_unset: bool,
}

impl<'e> Expander<'e> {
    /// Expands words of instructions; `escape` is the file's escape character.
    pub fn new(escape: char, env: &'e dyn Values) -> Self {
        Self { env, escape, quotes: Quotes::Remove, keep_escapes: false, keep_unset: false }
    }

    /// Expands the contents of heredocs, where quotes mean nothing and `\` is always the escape character.
    pub fn for_heredoc(env: &'e dyn Values) -> Self {
        Self { quotes: Quotes::Ignore, ..Self::new('\\', env) }
    }

    /// Leaves variables without a value as they are written.
    pub(super) fn keeping_unset(self) -> Self {
        Self { keep_unset: true, ..self }
    }

    /// Leaves quotes where they are, though they still group.
    pub(super) fn keeping_quotes(self) -> Self {
        Self { quotes: Quotes::Keep, ..self }
    }

    /// Leaves escape characters where they are, though they still escape.
    pub(super) fn keeping_escapes(self) -> Self {
        Self { keep_escapes: true, ..self }
    }

    /// Expands `text` as one word.
    pub fn expand(&self, text: &str) -> Result<Expansion, ExpandError> {
        let mut reader = Reader::new(self, text);
        let read = reader.read_all()?;
        Ok(Expansion { text: read.text, unset: reader.unset })
    }

    /// Expands `text` and splits it where the spaces of the result are not quoted.
    pub fn words(&self, text: &str) -> Result<Vec<String>, ExpandError> {
        Ok(Reader::new(self, text).read_all()?.words.finish())
    }
}

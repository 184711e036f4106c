//! The flags of an instruction: which there are, and what was given.

use std::time::Duration;

use super::{
    ast::Word,
    error::{ErrorKind, Mistake, Span},
    healthcheck::parse_duration,
    statement::Statement,
    suggest::nearest,
};

/// How a flag is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagForm {
    /// `--flag`, `--flag=true` or `--flag=false`.
    Switch,
    /// `--flag=value`, once.
    Value,
    /// `--flag=value`, any number of times.
    Values,
}

/// A flag that an instruction has.
pub(super) type FlagSpec = (&'static str, FlagForm);

/// The flags that were given, in order.
pub(super) struct Flags(Vec<Given>);

struct Given {
    name: &'static str,
    value: Option<String>,
    span: Span,
}

impl Flags {
    pub(super) fn read(statement: &Statement<'_>, known: &[FlagSpec]) -> Result<Self, Mistake> {
        let mut given: Vec<Given> = Vec::new();
        for raw in &statement.flags {
            let span = statement.span_of(&raw.range);
            let text = raw.text.strip_prefix("--").unwrap_or(&raw.text);
            let (name, value) =
                text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
            let Some((name, form)) = known.iter().copied().find(|(known, _)| *known == name) else {
                let suggestion = nearest(name, known.iter().map(|(name, _)| *name));
                return Err(span.mistake(ErrorKind::UnknownFlag {
                    instruction: statement.name(),
                    flag: name.to_owned(),
                    suggestion: suggestion.map(|flag| format!("--{flag}")),
                }));
            };
            let flag = name.to_owned();
            if form != FlagForm::Values && given.iter().any(|given| given.name == name) {
                return Err(span.mistake(ErrorKind::DuplicateFlag { flag }));
            }
            if form != FlagForm::Switch && value.is_none() {
                return Err(span.mistake(ErrorKind::MissingFlagValue { flag }));
            }
            given.push(Given { name, value, span });
        }
        Ok(Self(given))
    }

    /// The value of a flag; an empty one is as good as none.
    pub(super) fn value(&self, name: &str) -> Option<Word> {
        self.values(name).find(|word| !word.text.is_empty())
    }

    /// The values of a flag that may be repeated.
    pub(super) fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Word> + 's {
        self.0.iter().filter(move |given| given.name == name).map(Given::word)
    }

    /// Whether a switch is on; `None` when it was not given.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>, Mistake> {
        let Some(given) = self.0.iter().find(|given| given.name == name) else { return Ok(None) };
        match given.value.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(bad_value(name, given.word(), "true or false")),
        }
    }

    /// The flag's value as one of a few words.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
        expected: &'static str,
    ) -> Result<Option<T>, Mistake> {
        let Some(given) = self.values(name).next() else { return Ok(None) };
        let chosen = choices.iter().find(|(choice, _)| *choice == given.text);
        chosen.map(|(_, value)| Some(*value)).ok_or_else(|| bad_value(name, given, expected))
    }

    /// The flag's value as a duration; zero means the default, like no flag.
    pub(super) fn duration(&self, name: &str) -> Result<Option<Duration>, Mistake> {
        let Some(given) = self.value(name) else { return Ok(None) };
        match parse_duration(&given.text) {
            Some(duration) if duration.is_zero() => Ok(None),
            Some(duration) if duration >= Duration::from_millis(1) => Ok(Some(duration)),
            _ => Err(given.span.mistake(ErrorKind::BadDuration { flag: name.to_owned(), value: given.text })),
        }
    }
}

impl Given {
    fn word(&self) -> Word {
        Word { text: self.value.clone().unwrap_or_default(), span: self.span }
    }
}

/// The mistake of a flag whose value cannot be used.
pub(super) fn bad_value(flag: &str, given: Word, expected: &'static str) -> Mistake {
    given.span.mistake(ErrorKind::BadFlagValue { flag: flag.to_owned(), value: given.text, expected })
}

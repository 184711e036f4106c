//! Which rules apply: `# check=skip=A,B;error=true;experimental=C`.

use std::{collections::BTreeSet, str::FromStr};

use super::rule::Rule;

/// Which rules apply, and whether a warning is as bad as a mistake.
///
/// Source: BuildKit, `linter.ParseLintOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    skipped: Names,
    experimental: Names,
    /// Whether a build with a warning fails before anything runs.
    pub error: bool,
}

/// Why check options cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckOptionError {
    /// Something that is no option.
    #[error(
        "`{option}` is no check option; write skip=RULE,…, experimental=RULE,… or error=true, separated by `;`"
    )]
    Unknown {
        /// What was given.
        option: String,
    },
    /// An `error=` that is neither true nor false.
    #[error("the check option error cannot be `{value}`; it must be true or false")]
    NotBoolean {
        /// What was given.
        value: String,
    },
}

/// Some rules, or all. A name that no rule has is none that anything here would be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    names: BTreeSet<String>,
}

impl CheckOptions {
    /// Whether a rule is looked at.
    pub fn applies(&self, rule: Rule) -> bool {
        // What is asked for by name is not skipped with all the others.
        if rule.is_experimental() { self.experimental.has(rule) } else { !self.skipped.has(rule) }
    }
}

impl FromStr for CheckOptions {
    type Err = CheckOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for option in text.split(';') {
            let unknown = || CheckOptionError::Unknown { option: option.trim().to_owned() };
            let (key, value) = option.split_once('=').ok_or_else(unknown)?;
            let value = value.trim();
            match key.trim() {
                "skip" => options.skipped = Names::read(value),
                "experimental" => options.experimental = Names::read(value),
                "error" => options.error = read_switch(value)?,
                _ => return Err(unknown()),
            }
        }
        Ok(options)
    }
}

impl Names {
    fn read(value: &str) -> Self {
        if value == "all" {
            return Self { all: true, names: BTreeSet::new() };
        }
        Self { all: false, names: value.split(',').map(|name| name.trim().to_owned()).collect() }
    }

    fn has(&self, rule: Rule) -> bool {
        self.all || self.names.contains(rule.name())
    }
}

/// The words that Go's `ParseBool` takes.
fn read_switch(value: &str) -> Result<bool, CheckOptionError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(CheckOptionError::NotBoolean { value: value.to_owned() }),
    }
}

//! What the rules found.

use super::{super::error::Span, options::CheckOptions, rule::Rule};
use crate::dockerfile::snippet;

/// The most warnings about one file. Nobody reads more, and a file can be made of nothing else.
const MOST_WARNINGS: usize = 1000;
/// How many names are compared with what might have been meant, in one file.
const MOST_COMPARISONS: usize = 200_000;

/// Something that a Dockerfile could do better.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The part of the file that it is about.
    pub span: Span,
    /// The rule that it breaks.
    pub rule: Rule,
    /// How it does.
    pub message: String,
}

impl Warning {
    /// The warning in one line, with its rule and its place.
    pub fn line(&self, file: &str) -> String {
        format!("{}: {} ({file}:{})", self.rule.name(), self.message, self.span.line)
    }

    /// The lines of `text` that it is about, with a caret under its place.
    pub fn snippet(&self, file: &str, text: &str) -> String {
        snippet(file, text, self.span)
    }
}

/// Collects warnings about the rules that apply.
pub(super) struct Found<'o> {
    checks: &'o CheckOptions,
    warnings: Vec<Warning>,
    comparisons: usize,
}

impl<'o> Found<'o> {
    pub(super) fn new(checks: &'o CheckOptions) -> Self {
        Self { checks, warnings: Vec::new(), comparisons: 0 }
    }

    /// Whether a rule is to be looked at.
    pub(super) fn wants(&self, rule: Rule) -> bool {
        self.checks.applies(rule)
    }

    /// Whether a name may still be compared with so many others.
    pub(super) fn may_compare(&mut self, names: usize) -> bool {
        self.comparisons = self.comparisons.saturating_add(names);
        self.comparisons <= MOST_COMPARISONS
    }

    pub(super) fn add(&mut self, rule: Rule, span: Span, message: impl Into<String>) {
        if self.wants(rule) {
            self.warnings.push(Warning { span, rule, message: message.into() });
        }
    }

    /// The warnings in the order of the file, each once.
    pub(super) fn finish(mut self) -> Vec<Warning> {
        self.warnings.sort();
        self.warnings.dedup();
        self.warnings.truncate(MOST_WARNINGS);
        self.warnings
    }
}

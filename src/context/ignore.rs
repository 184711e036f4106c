//! `.dockerignore`: which paths of a context do not count.
//!
//! Source: moby/patternmatcher, `ignorefile/ignorefile.go` for the file and `patternmatcher.go`
//! (`MatchesOrParentMatches`) for its meaning. The last pattern that matches a path or a directory above it
//! decides; `!` makes that "not ignored". Where a pattern means something else than in moby, [`super::glob`]
//! says so.

use super::{
    glob::{Dialect, Glob, GlobError},
    path::RelPath,
};

/// The longest line: as long as moby's reader (Go's `bufio.Scanner`) takes.
const LONGEST_LINE: usize = 64 << 10;

/// The longest file, in bytes.
pub(super) const LARGEST_IGNORE: usize = 4 << 20;
/// The most patterns: every one is compared with every path.
const MOST_PATTERNS: usize = 20_000;

/// The patterns of a `.dockerignore`, or of `--exclude` flags.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// One pattern.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The line it stands on, from 1; the place in the list where there are no lines.
    pub line: usize,
    /// The pattern as it was written, without white space around it.
    pub text: String,
    negated: bool,
    glob: Glob,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A pattern is malformed.
    #[error("line {line}: invalid pattern {text:?}")]
    Pattern {
        /// The line, from 1.
        line: usize,
        /// The pattern.
        text: String,
        /// What is wrong with it.
        source: GlobError,
    },
    /// `!` with nothing after it.
    #[error("line {line}: ! needs a pattern after it")]
    LoneExclamation {
        /// The line, from 1.
        line: usize,
    },
    /// A line beyond all measure.
    #[error("line {line} is longer than {LONGEST_LINE} bytes")]
    TooLong {
        /// The line, from 1.
        line: usize,
    },
    /// A file beyond all measure.
    #[error("it has more than {LARGEST_IGNORE} bytes")]
    TooLarge,
    /// More patterns than anybody writes.
    #[error("line {line}: these are more than {MOST_PATTERNS} patterns")]
    TooMany {
        /// The line, from 1.
        line: usize,
    },
}

impl Ignore {
    /// Reads a `.dockerignore`.
    pub fn parse(file: &[u8]) -> Result<Self, IgnoreError> {
        if file.len() > LARGEST_IGNORE {
            return Err(IgnoreError::TooLarge);
        }
        let file = file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file);
        let mut ignore = Self::default();
        for (line, text) in (1..).zip(file.split(|byte| *byte == b'\n')) {
            if text.len() >= LONGEST_LINE {
                return Err(IgnoreError::TooLong { line });
            }
            // A comment begins in the first column.
            if text.starts_with(b"#") {
                continue;
            }
            let text = trim(text);
            match text.strip_prefix(b"!") {
                Some(negated) => ignore.add(line, text, true, &without_root(clean(trim(negated))))?,
                None => ignore.add(line, text, false, &without_root(clean(text)))?,
            }
        }
        Ok(ignore)
    }

    /// Takes patterns one by one, as `--exclude` gives them: there are no comments, and a leading `/` stays.
    ///
    /// Source: moby/patternmatcher, `New`.
    pub fn from_patterns<'p>(patterns: impl IntoIterator<Item = &'p [u8]>) -> Result<Self, IgnoreError> {
        let mut ignore = Self::default();
        for (line, text) in (1..).zip(patterns) {
            let text = trim(text);
            let pattern = clean(text);
            match pattern.strip_prefix(b"!") {
                Some(negated) => ignore.add(line, text, true, negated)?,
                None => ignore.add(line, text, false, &pattern)?,
            }
        }
        Ok(ignore)
    }

    fn add(&mut self, line: usize, text: &[u8], negated: bool, pattern: &[u8]) -> Result<(), IgnoreError> {
        if text.is_empty() {
            return Ok(());
        }
        if self.rules.len() == MOST_PATTERNS {
            return Err(IgnoreError::TooMany { line });
        }
        if pattern.is_empty() {
            return Err(IgnoreError::LoneExclamation { line });
        }
        let text = String::from_utf8_lossy(text).into_owned();
        match Glob::parse(pattern, Dialect::Ignore) {
            Ok(glob) => self.rules.push(Rule { line, text, negated, glob }),
            Err(source) => return Err(IgnoreError::Pattern { line, text, source }),
        }
        Ok(())
    }

    /// Whether there is no pattern at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any pattern begins with `!`.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(Rule::is_negated)
    }

    /// Whether one of the patterns is written like this.
    pub fn has_pattern(&self, text: &str) -> bool {
        self.rules.iter().any(|rule| rule.text == text)
    }

    /// Whether `path`, separated by `/`, is ignored: by its own name or by that of a directory above it.
    pub fn is_ignored(&self, path: &[u8]) -> bool {
        self.deciding(path).is_some_and(|rule| !rule.negated)
    }

    /// The pattern that decides over `path`, if any matches: the last one.
    pub fn deciding(&self, path: &[u8]) -> Option<&Rule> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let parents: Vec<&[u8]> = slashes.map(|(at, _)| &path[..at]).collect();
        let mut rules = self.rules.iter().rev();
        rules.find(|rule| rule.glob.matches(path) || parents.iter().any(|parent| rule.glob.matches(parent)))
    }

    /// The patterns as they apply in the root.
    pub(super) fn at_root(&self) -> Within<'_> {
        Within { rules: &self.rules, matched: vec![false; self.rules.len()] }
    }
}

impl Rule {
    /// Whether it begins with `!`.
    pub fn is_negated(&self) -> bool {
        self.negated
    }
}

/// The patterns as they apply in one directory, so that a walk need not compare its entries' parents again.
#[derive(Clone, Debug)]
pub(super) struct Within<'i> {
    rules: &'i [Rule],
    /// For every pattern, whether it matches the directory or one above it.
    matched: Vec<bool>,
}

impl Within<'_> {
    /// Whether the entry `path` of this directory is ignored.
    pub(super) fn ignores(&self, path: &RelPath) -> bool {
        let rules = self.rules.iter().zip(&self.matched).rev();
        let mut matching = rules.filter(|(rule, above)| **above || rule.glob.matches(path.as_bytes()));
        matching.next().is_some_and(|(rule, _)| !rule.negated)
    }

    /// The patterns as they apply in `path`, a directory in this one.
    pub(super) fn enter(&self, path: &RelPath) -> Self {
        let rules = self.rules.iter().zip(&self.matched);
        let matched = rules.map(|(rule, above)| *above || rule.glob.matches(path.as_bytes())).collect();
        Self { rules: self.rules, matched }
    }

    /// Whether nothing below this directory, which is at `path`, can be anything but ignored.
    pub(super) fn ignores_all_below(&self, path: &RelPath) -> bool {
        let last = self.matched.iter().rposition(|matched| *matched);
        last.is_some_and(|last| {
            let later = &self.rules[last + 1..];
            !self.rules[last].negated
                && !later.iter().any(|rule| rule.negated && rule.glob.reaches_below(path.as_bytes()))
        })
    }
}

/// Without white space around it, as Go's `strings.TrimSpace` does.
fn trim(text: &[u8]) -> &[u8] {
    std::str::from_utf8(text).map_or_else(|_| text.trim_ascii(), |text| text.trim().as_bytes())
}

/// The shortest equal path, as Go's `filepath.Clean` has it, but nothing for nothing. `..` stays where it leads
/// out.
fn clean(text: &[u8]) -> Vec<u8> {
    if text.is_empty() {
        return Vec::new();
    }
    let rooted = text.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in text.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => _ = parts.pop(),
            b".." if rooted => {}
            part => parts.push(part),
        }
    }
    let mut clean = if rooted { b"/".to_vec() } else { Vec::new() };
    clean.extend_from_slice(&parts.join(&b'/'));
    if clean.is_empty() { b".".to_vec() } else { clean }
}

/// A path that begins at the root is one that begins at the context.
fn without_root(mut pattern: Vec<u8>) -> Vec<u8> {
    if pattern.len() > 1 && pattern[0] == b'/' {
        pattern.remove(0);
    }
    pattern
}

#[cfg(test)]
#[path = "ignore_tests.rs"]
mod tests;

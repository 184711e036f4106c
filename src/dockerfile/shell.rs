//! Reads a word as a shell would: letter by letter, with quotes, escapes and variables.

use std::collections::BTreeSet;

use super::{
    expand::{ExpandError, Expander, MAX_DEPTH, Quotes},
    pattern::Pattern,
};

/// How much longer than its source a result may be: a few lines of `ARG a=$b$b` would otherwise fill the memory.
const MAX_GROWTH: usize = 1 << 20;

/// A result, both as one word and as several.
#[derive(Default)]
pub(super) struct Read {
    pub(super) text: String,
    pub(super) words: Words,
}

impl Read {
    fn push_quoted(&mut self, part: &str) {
        self.text.push_str(part);
        self.words.push_quoted(part);
    }

    fn push_plain(&mut self, part: &str) {
        self.text.push_str(part);
        self.words.push_plain(part);
    }
}

/// The words of a result; spaces that come from quotes or escapes do not end one.
#[derive(Default)]
pub(super) struct Words {
    word: String,
    words: Vec<String>,
}

impl Words {
    fn push_quoted(&mut self, part: &str) {
        self.word.push_str(part);
    }

    fn push_plain(&mut self, part: &str) {
        for letter in part.chars() {
            if !letter.is_whitespace() {
                self.word.push(letter);
            } else if !self.word.is_empty() {
                self.words.push(std::mem::take(&mut self.word));
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

/// A text that is being read, with what the reading has found out.
pub(super) struct Reader<'t> {
    expander: &'t Expander<'t>,
    rest: &'t str,
    limit: usize,
    keep_escapes: bool,
    depth: usize,
    pub(super) unset: BTreeSet<String>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(expander: &'t Expander<'t>, text: &'t str) -> Self {
        Self {
            expander,
            rest: text,
            limit: text.len() + MAX_GROWTH,
            keep_escapes: expander.keep_escapes,
            depth: 0,
            unset: BTreeSet::new(),
        }
    }

    pub(super) fn read_all(&mut self) -> Result<Read, ExpandError> {
        self.read_until(None, self.keep_escapes)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    /// Reads up to `stop`, or to the end of the text where there is no stop.
    fn read_until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<Read, ExpandError> {
        if self.depth > MAX_DEPTH {
            return Err(ExpandError::TooDeep);
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.keep_escapes, keep_escapes);
        let read = self.read_parts(stop);
        self.keep_escapes = outer;
        self.depth -= 1;
        read
    }

    fn read_parts(&mut self, stop: Option<char>) -> Result<Read, ExpandError> {
        let mut read = Read::default();
        while let Some(letter) = self.peek() {
            if Some(letter) == stop {
                self.next();
                return Ok(read);
            }
            match letter {
                '$' => {
                    let value = self.read_variable()?;
                    read.push_plain(&value);
                }
                '\'' if self.expander.quotes != Quotes::Ignore => {
                    read.push_quoted(&self.read_single_quoted()?);
                }
                '"' if self.expander.quotes != Quotes::Ignore => {
                    read.push_quoted(&self.read_double_quoted()?);
                }
                '<' => read.push_quoted(self.read_angles()),
                letter if letter == self.expander.escape => {
                    self.next();
                    let mut kept = String::new();
                    if self.keep_escapes {
                        kept.push(letter);
                    }
                    kept.extend(self.next());
                    read.push_quoted(&kept);
                }
                letter => {
                    self.next();
                    read.push_plain(letter.encode_utf8(&mut [0; 4]));
                }
            }
            self.check_length(read.text.len())?;
        }
        match stop {
            None => Ok(read),
            Some('/') => Err(ExpandError::UnclosedPattern),
            Some(_) => Err(ExpandError::UnclosedBrace),
        }
    }

    /// A `<`, or a `<<` with the blanks behind it: they belong to the heredoc's word.
    fn read_angles(&mut self) -> &'t str {
        let from = self.rest;
        self.next();
        if self.peek() == Some('<') {
            self.next();
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
        }
        &from[..from.len() - self.rest.len()]
    }

    fn read_single_quoted(&mut self) -> Result<String, ExpandError> {
        let inner = &self.rest[1..];
        let length = inner.find('\'').ok_or(ExpandError::UnclosedQuote { quote: '\'' })?;
        let text = match self.expander.quotes {
            Quotes::Keep => &self.rest[..length + 2],
            Quotes::Remove | Quotes::Ignore => &inner[..length],
        };
        self.rest = &inner[length + 1..];
        Ok(text.to_owned())
    }

    fn read_double_quoted(&mut self) -> Result<String, ExpandError> {
        let keep = self.expander.quotes == Quotes::Keep;
        let mut text = String::new();
        self.next();
        if keep {
            text.push('"');
        }
        loop {
            match self.peek().ok_or(ExpandError::UnclosedQuote { quote: '"' })? {
                '"' => {
                    self.next();
                    if keep {
                        text.push('"');
                    }
                    return Ok(text);
                }
                '$' => text.push_str(&self.read_variable()?),
                letter => {
                    self.next();
                    text.push_str(&self.read_quoted_letter(letter));
                }
            }
            self.check_length(text.len())?;
        }
    }

    /// Inside double quotes the escape character escapes only `"`, `$` and itself; elsewhere it is a letter.
    fn read_quoted_letter(&mut self, letter: char) -> String {
        let mut text = String::new();
        if letter != self.expander.escape {
            text.push(letter);
            return text;
        }
        if self.keep_escapes {
            text.push(letter);
        }
        match self.peek() {
            None => {}
            Some(next) if matches!(next, '"' | '$') || next == self.expander.escape => {
                text.extend(self.next());
            }
            Some(_) => text.push(letter),
        }
        text
    }

    fn read_variable(&mut self) -> Result<String, ExpandError> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.read_name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(self.plain_value(&name, |name| format!("${name}")));
        }
        self.next();
        match self.peek() {
            None => return Err(ExpandError::UnclosedBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.read_name();
        let operator = self.next().ok_or(ExpandError::UnclosedBrace)?;
        match operator {
            '}' => Ok(self.plain_value(&name, |name| format!("${{{name}}}"))),
            ':' => {
                let operator = self.next().ok_or(ExpandError::UnclosedBrace)?;
                self.read_operation(&name, true, operator)
            }
            '/' => self.read_replacement(&name),
            operator => self.read_operation(&name, false, operator),
        }
    }

    /// `-`, `+`, `?`, `#` and `%`, after a colon where `empty_is_unset`.
    fn read_operation(
        &mut self,
        name: &str,
        empty_is_unset: bool,
        operator: char,
    ) -> Result<String, ExpandError> {
        let colon = if empty_is_unset { ":" } else { "" };
        if !matches!(operator, '-' | '+' | '?' | '#' | '%') {
            let modifier = format!("{colon}{operator}");
            return Err(ExpandError::UnsupportedModifier { name: name.to_owned(), modifier });
        }
        let word = self.read_until(Some('}'), matches!(operator, '#' | '%'))?.text;
        let value = self.value_of(name);
        if value.is_none() && self.expander.keep_unset {
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let is_set = value.is_some();
        let present = value.is_some_and(|value| !(empty_is_unset && value.is_empty()));
        let value = value.unwrap_or_default();
        match operator {
            '-' => Ok(if present { value.to_owned() } else { word }),
            '+' => Ok(if present { word } else { String::new() }),
            '?' if present => Ok(value.to_owned()),
            '?' => {
                let default = if is_set { "it is empty" } else { "it is not set" };
                let message = if word.is_empty() { default.to_owned() } else { word };
                Err(ExpandError::Required { name: name.to_owned(), message })
            }
            _ => {
                let longest = word.starts_with(operator);
                let pattern = parse_pattern(name, if longest { &word[1..] } else { &word })?;
                Ok(match operator {
                    '#' => pattern.trim_start(value, longest),
                    _ => pattern.trim_end(value, longest),
                })
            }
        }
    }

    fn read_replacement(&mut self, name: &str) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.read_until(Some('/'), true)?.text;
        let replacement = self.read_until(Some('}'), true)?.text;
        let value = self.value_of(name);
        if value.is_none() && self.expander.keep_unset {
            let slash = if all { "//" } else { "/" };
            return Ok(format!("${{{name}{slash}{pattern}/{replacement}}}"));
        }
        let pattern = parse_pattern(name, &pattern)?;
        pattern.replace(value.unwrap_or_default(), &replacement, all, self.limit).ok_or(ExpandError::TooLong)
    }

    /// Letters, digits and `_`; or one of the shell's special parameters; or digits alone.
    fn read_name(&mut self) -> String {
        let first = self.peek();
        let length = match first {
            Some(letter) if letter.is_numeric() => {
                self.rest.find(|letter: char| !letter.is_numeric()).unwrap_or(self.rest.len())
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => self
                .rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(self.rest.len()),
        };
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name.to_owned()
    }

    fn value_of(&mut self, name: &str) -> Option<&'t str> {
        let value = self.expander.env.value(name);
        if value.is_none() {
            self.unset.insert(name.to_owned());
        }
        value
    }

    /// The value of a variable without operators, or its source where it has none and stays.
    fn plain_value(&mut self, name: &str, source: impl FnOnce(&str) -> String) -> String {
        match self.value_of(name) {
            Some(value) => value.to_owned(),
            None if self.expander.keep_unset => source(name),
            None => String::new(),
        }
    }

    fn check_length(&self, length: usize) -> Result<(), ExpandError> {
        if length > self.limit { Err(ExpandError::TooLong) } else { Ok(()) }
    }
}

fn parse_pattern(name: &str, text: &str) -> Result<Pattern, ExpandError> {
    Pattern::parse(text).map_err(|source| ExpandError::BadPattern {
        name: name.to_owned(),
        pattern: text.to_owned(),
        source,
    })
}

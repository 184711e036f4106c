//! A logical line, or the trigger inside an ONBUILD line, in its three parts: keyword, flags and arguments.

use std::ops::Range;

use super::{
    error::{ErrorKind, Mistake, Span},
    lexer::Line,
};

/// A keyword with its flags and arguments, as ranges of the line's text.
pub(super) struct Statement<'l> {
    pub(super) line: &'l Line,
    pub(super) keyword: Range<usize>,
    pub(super) flags: Vec<RawFlag>,
    pub(super) arguments: Range<usize>,
}

/// A `--flag` before the arguments, with its quotes removed.
pub(super) struct RawFlag {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

/// One argument.
pub(super) struct Argument {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

impl<'l> Statement<'l> {
    /// Splits the text of `line` from the byte `from` on.
    pub(super) fn split(line: &'l Line, from: usize) -> Self {
        let text = line.text.trim_end();
        let from = from.min(text.len());
        let start = skip(text, from, char::is_whitespace);
        let keyword = start..skip(text, start, |letter| !is_blank(letter));
        let (flags, rest) = read_flags(text, keyword.end);
        let begin = skip(text, rest, char::is_whitespace);
        // The keyword alone may carry blanks that only Unicode knows.
        let keyword = start..start + text[keyword].trim_end().len();
        Self { line, keyword, flags, arguments: begin..text.len() }
    }

    /// Whether the keyword is `name`, in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.line.text[self.keyword.clone()].eq_ignore_ascii_case(name)
    }

    /// The keyword as instructions are named in messages.
    pub(super) fn name(&self) -> String {
        self.line.text[self.keyword.clone()].to_ascii_uppercase()
    }

    pub(super) fn arguments_text(&self) -> &'l str {
        &self.line.text[self.arguments.clone()]
    }

    /// The whole statement, with the heredocs where it is the line.
    pub(super) fn span(&self) -> Span {
        let span = self.line.span_of(self.keyword.start..self.arguments.end.max(self.keyword.end));
        if self.line.heredocs.is_empty() {
            return span;
        }
        Span { end: self.line.span.end, last_line: self.line.span.last_line, ..span }
    }

    pub(super) fn span_of(&self, range: &Range<usize>) -> Span {
        self.line.span_of(range.clone())
    }

    pub(super) fn keyword_mistake(&self, kind: ErrorKind) -> Mistake {
        self.line.span_of(self.keyword.clone()).mistake(kind)
    }

    pub(super) fn mistake(&self, range: &Range<usize>, kind: ErrorKind) -> Mistake {
        self.span_of(range).mistake(kind)
    }

    /// The arguments split at blanks; quotes mean nothing.
    pub(super) fn blank_separated(&self) -> Vec<Argument> {
        let text = &self.line.text;
        let mut arguments = Vec::new();
        let mut at = self.arguments.start;
        while at < self.arguments.end {
            let start = skip(text, at, is_blank);
            let end = skip(text, start, |letter| !is_blank(letter)).min(self.arguments.end);
            if start < end {
                arguments.push(Argument { text: text[start..end].to_owned(), range: start..end });
            }
            at = end.max(start);
        }
        arguments
    }

    /// The arguments split where spaces are neither quoted nor escaped; quotes and escapes stay for the expander.
    pub(super) fn quoted_words(&self, escape: char) -> Vec<Argument> {
        let base = self.arguments.start;
        let mut words = Vec::new();
        let mut word: Option<(usize, String)> = None;
        let mut quote: Option<char> = None;
        let mut letters = self.arguments_text().char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            if quote.is_none() && letter.is_whitespace() {
                words.extend(word.take().map(|(start, text)| (start, base + at, text)));
                continue;
            }
            let (_, text) = word.get_or_insert_with(|| (base + at, String::new()));
            match quote {
                Some(open) if letter == open => quote = None,
                None if matches!(letter, '\'' | '"') => quote = Some(letter),
                _ => {}
            }
            if letter == escape && quote != Some('\'') {
                // An escape character at the very end escapes nothing and is dropped.
                let Some((_, escaped)) = letters.next() else { break };
                text.push(letter);
                text.push(escaped);
            } else {
                text.push(letter);
            }
        }
        words.extend(word.map(|(start, text)| (start, self.arguments.end, text)));
        words
            .into_iter()
            .filter(|(_, _, text)| !text.is_empty())
            .map(|(start, end, text)| Argument { text, range: start..end })
            .collect()
    }
}

/// The blanks that separate words on one line; others belong to a word.
fn is_blank(letter: char) -> bool {
    matches!(letter, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// The first byte at or after `from` whose letter is not `skipped`.
fn skip(text: &str, from: usize, skipped: impl Fn(char) -> bool) -> usize {
    text[from..].find(|letter: char| !skipped(letter)).map_or(text.len(), |at| from + at)
}

/// Reads words as long as they begin with `--`; returns where the arguments begin.
fn read_flags(text: &str, from: usize) -> (Vec<RawFlag>, usize) {
    let mut flags = Vec::new();
    let mut at = from;
    loop {
        let start = skip(text, at, char::is_whitespace);
        if !text[start..].starts_with("--") {
            return (flags, start);
        }
        let (word, end) = read_flag(text, start);
        // A bare `--` ends the flags.
        if word == "--" {
            return (flags, end);
        }
        flags.push(RawFlag { text: word, range: start..end });
        at = end;
    }
}

/// One flag without its quotes; `\` escapes even where the file has another escape character.
fn read_flag(text: &str, start: usize) -> (String, usize) {
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut letters = text[start..].char_indices();
    while let Some((at, letter)) = letters.next() {
        match quote {
            None if letter.is_whitespace() => return (word, start + at),
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            Some(open) if letter == open => quote = None,
            _ if letter == '\\' => word.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => word.push(letter),
        }
    }
    (word, text.len())
}

//! Physical lines to logical ones: parser directives, comments, continuations and heredocs.
//!
//! Nothing here knows what an instruction means, except which three may carry heredocs.

use std::ops::Range;

use super::{
    ast::Heredoc,
    error::{ErrorKind, LARGEST_DOCKERFILE, MOST_INSTRUCTIONS, Mistake, Span},
    heredoc::{self, Marker},
    json::JsonForm,
    statement::Statement,
};

/// The parser directives at the head of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: the frontend image that the author had in mind.
    pub syntax: Option<String>,
    /// `# escape=`: the escape and continuation character.
    pub escape: char,
    /// `# check=`: which lint rules apply.
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { syntax: None, escape: '\\', check: None }
    }
}

/// What the lexer makes of a file.
#[derive(Debug)]
pub(super) struct Lexed {
    pub(super) directives: Directives,
    pub(super) lines: Vec<Line>,
}

/// One instruction's text, with its continuation lines joined.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) text: String,
    /// Everything from the first letter to the end of the last continuation line or heredoc.
    pub(super) span: Span,
    pub(super) heredocs: Vec<Heredoc>,
    /// The comment right above it, without its `#`.
    pub(super) comment: Option<String>,
    /// Whether it goes on after an empty line, which it will not for ever.
    pub(super) empty_continuation: bool,
    pieces: Vec<Piece>,
}

/// Where a part of a logical line comes from.
#[derive(Debug)]
struct Piece {
    /// Its first byte in the logical line.
    at: usize,
    /// Its first byte in the file.
    source: usize,
    line: usize,
}

impl Line {
    /// The place in the file of a part of the text; an empty part is a point.
    pub(super) fn span_of(&self, part: Range<usize>) -> Span {
        let (start, line) = self.locate(part.start);
        if part.is_empty() {
            return Span { start, end: start, line, last_line: line };
        }
        let (last, last_line) = self.locate(part.end - 1);
        Span { start, end: last + 1, line, last_line }
    }

    fn locate(&self, at: usize) -> (usize, usize) {
        let after = self.pieces.partition_point(|piece| piece.at <= at);
        self.pieces
            .get(after.saturating_sub(1))
            .map_or((self.span.start, self.span.line), |piece| (piece.source + at - piece.at, piece.line))
    }

    /// Appends the part of a physical line that begins at the byte `source` of the file.
    fn push(&mut self, part: &str, source: usize, physical: &Physical<'_>) {
        self.pieces.push(Piece { at: self.text.len(), source, line: physical.number });
        self.text.push_str(part);
        self.span.end = self.span.end.max(source + part.len());
        self.span.last_line = physical.number;
    }
}

/// Splits a file into its directives and its logical lines.
pub(super) fn lex(text: &str) -> Result<Lexed, Mistake> {
    if text.len() as u64 > LARGEST_DOCKERFILE {
        return Err(Span { start: 0, end: 0, line: 1, last_line: 1 }.mistake(ErrorKind::TooLarge));
    }
    let mut physical_lines = PhysicalLines::new(text);
    let mut head = Head::default();
    let mut lines = Vec::new();
    let mut comment = None;
    while let Some(first) = physical_lines.next() {
        let content = first.text.trim_start();
        let is_directive = head.read(&first)?;
        if content.is_empty() || content.starts_with('#') {
            let said = content.strip_prefix('#').map(str::trim).filter(|said| !said.is_empty());
            comment = said.filter(|_| !is_directive).map(str::to_owned);
            continue;
        }
        let line = read_line(&first, &mut physical_lines, head.directives.escape)?;
        let line = Line { comment: comment.take(), ..line };
        // A lone continuation character at the end of the file continues nothing.
        if !line.text.trim().is_empty() {
            if lines.len() == MOST_INSTRUCTIONS {
                return Err(line.span.mistake(ErrorKind::TooManyInstructions));
            }
            lines.push(line);
        }
    }
    Ok(Lexed { directives: head.directives, lines })
}

fn read_line(first: &Physical<'_>, rest: &mut PhysicalLines<'_>, escape: char) -> Result<Line, Mistake> {
    let content = first.text.trim_start();
    let start = first.content_start();
    let span = Span { start, end: start, line: first.number, last_line: first.number };
    let mut line = Line {
        text: String::new(),
        span,
        heredocs: Vec::new(),
        comment: None,
        empty_continuation: false,
        pieces: Vec::new(),
    };
    let (part, mut continues) = split_continuation(content, escape);
    line.push(part, start, first);
    while continues && let Some(next) = rest.next() {
        // Comments and empty lines may stand between continuation lines.
        let blank = next.text.trim_start();
        if blank.is_empty() || blank.starts_with('#') {
            line.empty_continuation |= blank.is_empty();
            continue;
        }
        let (part, more) = split_continuation(next.text, escape);
        line.push(part, next.start, &next);
        continues = more;
    }
    // Whatever closes the line lies within it, so that a span ends with something that can be seen.
    let unseen = line.text.len() - line.text.trim_end().len();
    if unseen > 0 && unseen < line.text.len() {
        let seen = line.span_of(0..line.text.len() - unseen);
        (line.span.end, line.span.last_line) = (seen.end, seen.last_line);
    }
    for marker in markers(&line)? {
        let heredoc = read_heredoc(marker, &mut line.span, rest)?;
        line.heredocs.push(heredoc);
    }
    Ok(line)
}

/// The part before a continuation character at the end, and whether there is one.
///
/// A doubled escape character at the end is an escaped one, and continues nothing.
fn split_continuation(text: &str, escape: char) -> (&str, bool) {
    match text.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(part) if !part.ends_with(escape) => (part, true),
        _ => (text, false),
    }
}

/// The heredocs that a line announces; only RUN, COPY and ADD can, alone or under ONBUILD.
fn markers(line: &Line) -> Result<Vec<Marker>, Mistake> {
    if !line.text.contains("<<") {
        return Ok(Vec::new());
    }
    let mut statement = Statement::split(line, 0);
    if statement.is("ONBUILD") {
        statement = Statement::split(line, statement.arguments.start);
    }
    let carries = ["RUN", "COPY", "ADD"].into_iter().any(|keyword| statement.is(keyword));
    if !carries || JsonForm::read(statement.arguments_text()) != JsonForm::Not {
        return Ok(Vec::new());
    }
    heredoc::markers(line)
}

/// Reads a heredoc's lines, and stretches the span of its instruction over them.
fn read_heredoc(marker: Marker, span: &mut Span, lines: &mut PhysicalLines<'_>) -> Result<Heredoc, Mistake> {
    let mut content = String::new();
    for line in lines.by_ref() {
        span.end = line.start + line.text.len();
        span.last_line = line.number;
        let candidate = if marker.strip_tabs { line.text.trim_start_matches('\t') } else { line.text };
        if candidate == marker.name {
            return Ok(Heredoc {
                name: marker.name,
                expand: marker.expand,
                strip_tabs: marker.strip_tabs,
                content,
                span: marker.span,
            });
        }
        content.push_str(line.text);
        content.push('\n');
    }
    Err(marker.span.mistake(ErrorKind::UnterminatedHeredoc { name: marker.name }))
}

/// Reads the directives, which end with the first line that is none.
#[derive(Default)]
struct Head {
    directives: Directives,
    escape_seen: bool,
    closed: bool,
}

impl Head {
    /// Takes a line in, and says whether it is a directive.
    fn read(&mut self, line: &Physical<'_>) -> Result<bool, Mistake> {
        if self.closed {
            return Ok(false);
        }
        let Some((name, value)) = directive(line.text.trim_start()) else {
            self.closed = true;
            return Ok(false);
        };
        let (start, end) = (line.content_start(), line.start + line.text.len());
        let span = Span { start, end, line: line.number, last_line: line.number };
        let repeated = |name| Err(span.mistake(ErrorKind::DuplicateDirective { name }));
        match name.to_ascii_lowercase().as_str() {
            "syntax" if self.directives.syntax.is_some() => return repeated("syntax"),
            "syntax" => self.directives.syntax = Some(value.to_owned()),
            "check" if self.directives.check.is_some() => return repeated("check"),
            "check" => self.directives.check = Some(value.to_owned()),
            "escape" if self.escape_seen => return repeated("escape"),
            "escape" => {
                self.escape_seen = true;
                self.directives.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => return Err(span.mistake(ErrorKind::BadEscape { value: value.to_owned() })),
                };
            }
            _ => self.closed = true,
        }
        Ok(!self.closed)
    }
}

/// `# name = value`.
fn directive(content: &str) -> Option<(&str, &str)> {
    let (name, value) = content.strip_prefix('#')?.trim_start().split_once('=')?;
    let (name, value) = (name.trim_end_matches(ascii_blank), value.trim_matches(ascii_blank));
    let named = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.bytes().all(|letter| letter.is_ascii_alphanumeric());
    (named && !value.is_empty()).then_some((name, value))
}

fn ascii_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n' | '\x0c')
}

/// A line of the file without its line break.
struct Physical<'t> {
    text: &'t str,
    start: usize,
    number: usize,
}

impl Physical<'_> {
    /// The byte of the file at which the line's first visible letter stands.
    fn content_start(&self) -> usize {
        self.start + self.text.len() - self.text.trim_start().len()
    }
}

struct PhysicalLines<'t> {
    rest: &'t str,
    start: usize,
    number: usize,
}

impl<'t> PhysicalLines<'t> {
    fn new(text: &'t str) -> Self {
        let rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { rest, start: text.len() - rest.len(), number: 0 }
    }
}

impl<'t> Iterator for PhysicalLines<'t> {
    type Item = Physical<'t>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.find('\n').map_or(self.rest.len(), |newline| newline + 1);
        let (line, rest) = self.rest.split_at(length);
        self.number += 1;
        let physical =
            Physical { text: line.trim_end_matches(['\r', '\n']), start: self.start, number: self.number };
        self.rest = rest;
        self.start += length;
        Some(physical)
    }
}

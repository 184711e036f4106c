//! The wildcards of `.dockerignore` and of COPY and ADD, as data.
//!
//! `*` is any text without `/`, `?` one character but `/`, `[a-z]` and `[^a-z]` one character, and `\` takes the
//! next character as it is: Go's `filepath.Match`. In `.dockerignore`, `**` is any number of directories too, as
//! moby/patternmatcher (`patternmatcher.go`, `compile`) has it. A match costs at most the length of the text
//! times the length of the pattern, whatever both are.
//!
//! moby turns a pattern into a regular expression, and what only that accident gives is not copied: `\d` is the
//! letter d and not a digit, `[*]` is an asterisk, `^` outside brackets is itself, and `.` is a line break too.

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// `[` without its `]`.
    #[error("[ has no ] (write \\[ for the character itself)")]
    Unclosed,
    /// `[]…`, `[-…` or `[a-]`, where a character should stand.
    #[error("{0:?} stands where [ ] needs a character (write \\{0} for the character itself)")]
    Misplaced(char),
    /// Bytes that are not UTF-8 inside `[ ]`.
    #[error("[ ] holds bytes that are not UTF-8")]
    NotText,
    /// A range with nothing in it.
    #[error("the range {0:?}-{1:?} runs backwards")]
    Backwards(char, char),
    /// `\` with nothing after it.
    #[error("a \\ at the end escapes nothing")]
    Escape,
}

/// Which patterns there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Those of Go's `filepath.Match`: two asterisks are as good as one.
    Name,
    /// Those of `.dockerignore`.
    Ignore,
}

/// A character, or [`BYTES`] and a byte that is no part of one.
type Unit = u32;
const BYTES: Unit = 0x11_0000;
const SLASH: Unit = b'/' as Unit;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(Unit),
    /// `?`
    One,
    /// `*`
    Star,
    Class {
        negated: bool,
        ranges: Vec<(Unit, Unit)>,
    },
    /// `**` at the end: anything.
    Rest,
    /// `**/`: nothing, or directories. [`Token::InDirs`] always follows.
    Dirs,
    /// Between the slashes of a `**/`.
    InDirs,
}

/// A pattern.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    /// Whether there is nothing but text to compare.
    exact: bool,
    /// What every match begins with.
    head: Vec<u8>,
    /// What every match ends with.
    tail: Vec<u8>,
}

impl Glob {
    pub(super) fn parse(pattern: &[u8], dialect: Dialect) -> Result<Self, GlobError> {
        let mut tokens = Vec::new();
        let mut rest = Units(pattern);
        while let Some(unit) = rest.next() {
            match char::from_u32(unit) {
                Some('*') if dialect == Dialect::Ignore && rest.eat(b'*') => {
                    let whole = rest.eat(b'/') || rest.0.is_empty();
                    // moby takes a leading `**` before plain text for "ends with", so `**file` is `my.file` too.
                    if rest.0.is_empty() || (tokens.is_empty() && !whole && is_plain(rest.0)) {
                        tokens.push(Token::Rest);
                    } else {
                        tokens.extend([Token::Dirs, Token::InDirs]);
                    }
                }
                Some('*') => tokens.push(Token::Star),
                Some('?') => tokens.push(Token::One),
                Some('[') => tokens.push(class(&mut rest, dialect)?),
                Some('\\') => tokens.push(Token::Literal(rest.next().ok_or(GlobError::Escape)?)),
                _ => tokens.push(Token::Literal(unit)),
            }
        }
        let literal = |token: &Token| match token {
            Token::Literal(unit) => Some(*unit),
            _ => None,
        };
        let head: Vec<Unit> = tokens.iter().map_while(literal).collect();
        let mut tail: Vec<Unit> = tokens.iter().rev().map_while(literal).collect();
        tail.reverse();
        Ok(Self { exact: head.len() == tokens.len(), head: bytes_of(head), tail: bytes_of(tail), tokens })
    }

    /// Whether the whole of `text` matches.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        // Most paths differ from most patterns here already.
        if !text.starts_with(&self.head) || !text.ends_with(&self.tail) {
            return false;
        }
        if self.exact { text == self.head } else { self.run(text)[self.tokens.len()] }
    }

    /// Whether something below `directory` could match, whatever is there.
    pub(super) fn reaches_below(&self, directory: &[u8]) -> bool {
        let mut prefix = directory.to_vec();
        prefix.push(b'/');
        let common = prefix.len().min(self.head.len());
        if prefix[..common] != self.head[..common] {
            return false;
        }
        let states = self.run(&prefix);
        states[..self.tokens.len()].contains(&true)
    }

    /// The places in the pattern where a match of `text` can stand: one flag a token, and one for the end.
    fn run(&self, text: &[u8]) -> Vec<bool> {
        let mut states = vec![false; self.tokens.len() + 1];
        let mut next = states.clone();
        states[0] = true;
        self.pass_over(&mut states);
        for unit in Units(text) {
            next.fill(false);
            for (at, token) in self.tokens.iter().enumerate() {
                if !states[at] {
                    continue;
                }
                match token {
                    Token::Literal(own) => next[at + 1] |= *own == unit,
                    Token::One => next[at + 1] |= unit != SLASH,
                    Token::Class { negated, ranges } => {
                        let inside = ranges.iter().any(|(low, high)| (low..=high).contains(&&unit));
                        next[at + 1] |= inside != *negated;
                    }
                    Token::Star => next[at] |= unit != SLASH,
                    Token::Rest => next[at] = true,
                    Token::Dirs => {}
                    Token::InDirs => {
                        next[at] = true;
                        next[at + 1] |= unit == SLASH;
                    }
                }
            }
            self.pass_over(&mut next);
            std::mem::swap(&mut states, &mut next);
        }
        states
    }

    /// Goes on past what may match nothing.
    fn pass_over(&self, states: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate() {
            if states[at] {
                match token {
                    Token::Star | Token::Rest => states[at + 1] = true,
                    Token::Dirs => {
                        states[at + 1] = true;
                        states[at + 2] = true;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Whether a text has a wildcard: what COPY and ADD call one.
pub(super) fn has_wildcard(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// Whether a text has nothing that means anything in a pattern.
fn is_plain(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\'))
}

/// The rest of a class, after its `[`.
fn class(rest: &mut Units<'_>, dialect: Dialect) -> Result<Token, GlobError> {
    let negated = rest.eat(b'^');
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.eat(b']') {
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_character(rest)?;
        let high = if rest.eat(b'-') { class_character(rest)? } else { low };
        // `filepath.Match` lets such a range match nothing; moby's regular expression refuses it.
        if high < low && dialect == Dialect::Ignore {
            return Err(GlobError::Backwards(low, high));
        }
        ranges.push((low as Unit, high as Unit));
    }
}

fn class_character(rest: &mut Units<'_>) -> Result<char, GlobError> {
    let mut next = || rest.next().ok_or(GlobError::Unclosed);
    let character = match char::from_u32(next()?) {
        Some(misplaced @ ('-' | ']')) => return Err(GlobError::Misplaced(misplaced)),
        Some('\\') => char::from_u32(next()?),
        character => character,
    };
    let character = character.ok_or(GlobError::NotText)?;
    if rest.0.is_empty() { Err(GlobError::Unclosed) } else { Ok(character) }
}

/// Characters, and single bytes where there are none.
struct Units<'t>(&'t [u8]);

impl Units<'_> {
    /// Takes `byte` if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        let first = *self.0.first()?;
        let (unit, length) = if first.is_ascii() {
            (Unit::from(first), 1)
        } else {
            // The longest character has four bytes.
            let chunk = self.0[..self.0.len().min(4)].utf8_chunks().next();
            match chunk.and_then(|chunk| chunk.valid().chars().next()) {
                Some(character) => (character as Unit, character.len_utf8()),
                None => (BYTES + Unit::from(first), 1),
            }
        };
        self.0 = &self.0[length..];
        Some(unit)
    }
}

fn bytes_of(units: Vec<Unit>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(units.len());
    for unit in units {
        match char::from_u32(unit) {
            Some(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            // The low byte is the byte itself.
            None => bytes.push(unit.to_le_bytes()[0]),
        }
    }
    bytes
}

//! The shell patterns of `${x#pattern}`, `${x%pattern}` and `${x/pattern/text}`.
//!
//! `*` is any text, `?` one letter, and `\` escapes `*`, `?`, `\`, `}` and `/`. There are no brackets. Neither
//! wildcard matches a line break, because BuildKit's are `.` in a regular expression.

/// Longer patterns serve nothing but to keep the matcher busy.
const MAX_LENGTH: usize = 1000;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A backslash before a letter that has no special meaning, or at the end.
    #[error("a \\ can only stand before *, ?, \\, }} and /")]
    Escape,
    /// A pattern beyond all measure.
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Letter(char),
}

impl Token {
    fn accepts(self, letter: char) -> bool {
        match self {
            Self::Any | Self::One => letter != '\n',
            Self::Letter(own) => own == letter,
        }
    }
}

/// A parsed pattern.
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            if tokens.len() >= MAX_LENGTH {
                return Err(PatternError::TooLong);
            }
            tokens.push(match letter {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => match letters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Letter(escaped),
                    _ => return Err(PatternError::Escape),
                },
                letter => Token::Letter(letter),
            });
        }
        Ok(Self(tokens))
    }

    /// `value` without the shortest or longest start that matches.
    pub(super) fn trim_start(&self, value: &str, longest: bool) -> String {
        let letters: Vec<char> = value.chars().collect();
        let length = prefix_length(&self.0, letters.iter().copied(), longest).unwrap_or(0);
        letters[length..].iter().collect()
    }

    /// `value` without the shortest or longest end that matches.
    pub(super) fn trim_end(&self, value: &str, longest: bool) -> String {
        let letters: Vec<char> = value.chars().collect();
        let backwards: Vec<Token> = self.0.iter().rev().copied().collect();
        let length = prefix_length(&backwards, letters.iter().rev().copied(), longest).unwrap_or(0);
        letters[..letters.len() - length].iter().collect()
    }

    /// `value` with the first match, or all of them, replaced; `None` when it grows beyond `limit` bytes.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool, limit: usize) -> Option<String> {
        let letters: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut copied = 0;
        let mut search = 0;
        while let Some((start, end)) = self.find(&letters, search) {
            result.extend(&letters[copied..start]);
            // An empty match right after another one is the same place twice.
            if end > copied || start == 0 {
                result.push_str(replacement);
            }
            if result.len() > limit {
                return None;
            }
            copied = end;
            search = end.max(search + 1);
            if !all || search > letters.len() {
                break;
            }
        }
        result.extend(&letters[copied..]);
        Some(result)
    }

    /// The leftmost match at or after `from`, and of those the longest.
    fn find(&self, letters: &[char], from: usize) -> Option<(usize, usize)> {
        let tokens = &self.0;
        // For every place in the pattern, the leftmost start from which a match has come this far.
        let mut states: Vec<Option<usize>> = vec![None; tokens.len() + 1];
        let mut found: Option<(usize, usize)> = None;
        for at in from..=letters.len() {
            if found.is_none() && states[0].is_none() {
                states[0] = Some(at);
            }
            for (index, token) in tokens.iter().enumerate() {
                if *token == Token::Any {
                    states[index + 1] = leftmost(states[index], states[index + 1]);
                }
            }
            if let Some(start) = states[tokens.len()]
                && found.is_none_or(|(best, _)| start <= best)
            {
                found = Some((start, at));
            }
            let Some(letter) = letters.get(at) else { break };
            let mut stepped = vec![None; states.len()];
            for (index, token) in tokens.iter().enumerate() {
                let live = states[index].filter(|start| found.is_none_or(|(best, _)| *start <= best));
                if live.is_some() && token.accepts(*letter) {
                    let to = if *token == Token::Any { index } else { index + 1 };
                    stepped[to] = leftmost(live, stepped[to]);
                }
            }
            states = stepped;
            if found.is_some() && states.iter().all(Option::is_none) {
                break;
            }
        }
        found
    }
}

fn leftmost(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How many letters from the start match the whole pattern, if any number does.
fn prefix_length(tokens: &[Token], letters: impl Iterator<Item = char>, longest: bool) -> Option<usize> {
    let mut letters = letters.fuse();
    let mut states = vec![false; tokens.len() + 1];
    states[0] = true;
    let mut found = None;
    for length in 0.. {
        for (index, token) in tokens.iter().enumerate() {
            if *token == Token::Any && states[index] {
                states[index + 1] = true;
            }
        }
        if states[tokens.len()] {
            found = Some(length);
            if !longest {
                break;
            }
        }
        let Some(letter) = letters.next() else { break };
        let mut stepped = vec![false; states.len()];
        for (index, token) in tokens.iter().enumerate() {
            if states[index] && token.accepts(letter) {
                stepped[if *token == Token::Any { index } else { index + 1 }] = true;
            }
        }
        states = stepped;
        if !states.contains(&true) {
            break;
        }
    }
    found
}

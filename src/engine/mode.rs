//! `--chmod`: octal, or symbolic as `chmod` takes it.

use super::error::EngineError;

/// A change of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// All of them.
    Octal(u32),
    /// Some of them, one clause after the other.
    Symbolic(Vec<Clause>),
}

/// `u+rwX`: whose, how, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clause {
    /// The bits of those who are meant: `0o4700`, `0o2070`, `0o1007` or several.
    who: u32,
    operator: char,
    letters: String,
}

impl Mode {
    /// Reads the value of `--chmod`.
    pub(super) fn parse(text: &str) -> Result<Self, EngineError> {
        let invalid = || {
            EngineError::Invalid(format!(
                "--chmod={text} is neither octal, such as 755, nor symbolic, such as u+x,go-w"
            ))
        };
        if text.starts_with(|letter: char| letter.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Self::Octal).ok_or_else(invalid);
        }
        let clauses: Option<Vec<Clause>> = text.split(',').map(clause).collect();
        clauses.map(Self::Symbolic).ok_or_else(invalid)
    }

    /// The permissions that `mode` becomes.
    pub(super) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Octal(octal) => *octal,
            Self::Symbolic(clauses) => {
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_directory))
            }
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let all = self.letters.chars().fold(0, |bits, letter| {
            bits | match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_directory || mode & 0o111 != 0 => 0o111,
                's' => 0o6000,
                't' => 0o1000,
                'u' => spread(mode >> 6),
                'g' => spread(mode >> 3),
                'o' => spread(mode),
                _ => 0,
            }
        });
        let bits = all & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !self.who | bits,
        }
    }
}

/// The lowest three bits for everybody.
fn spread(bits: u32) -> u32 {
    (bits & 7) * 0o111
}

fn clause(text: &str) -> Option<Clause> {
    let at = text.find(['+', '-', '='])?;
    let (whose, rest) = text.split_at(at);
    let mut who = 0;
    for letter in whose.chars() {
        who |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    let who = if whose.is_empty() { 0o7777 } else { who };
    let operator = rest.chars().next()?;
    let letters = &rest[1..];
    let valid = letters.chars().all(|letter| "rwxXst".contains(letter)) || ["u", "g", "o"].contains(&letters);
    valid.then(|| Clause { who, operator, letters: letters.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_or_symbolic() {
        for (text, before, is_directory, after) in [
            ("755", 0o600, false, 0o755),
            ("04711", 0o600, false, 0o4711),
            ("u+x,go-w", 0o666, false, 0o744),
            ("a=rX", 0o600, false, 0o444),
            ("a=rX", 0o700, true, 0o555),
            ("+t", 0o777, true, 0o1777),
            ("g=u", 0o640, false, 0o660),
            ("o=", 0o777, false, 0o770),
        ] {
            let mode = Mode::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(mode.apply(before, is_directory), after, "{text}");
        }
        for text in ["", "888", "77777", "x", "u?x", "u+q"] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
    }
}

//! The JSON form of an instruction: `["a", "b"]`.
//!
//! Only arrays of strings mean something, but other JSON must be told apart from text that merely begins with a
//! bracket: BuildKit refuses `RUN [1]` and gives `RUN [ -f x ]` to the shell.

/// What a text is, seen as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonForm {
    /// An array of strings.
    Strings(Vec<String>),
    /// An array with something else in it.
    OtherArray,
    /// No JSON array.
    Not,
}

impl JsonForm {
    pub(super) fn read(text: &str) -> Self {
        let text = text.trim_start();
        if !text.starts_with('[') {
            return Self::Not;
        }
        let mut reader = Reader { rest: text, strings: Vec::new(), only_strings: true };
        match reader.read_document() {
            Some(()) if reader.only_strings => Self::Strings(reader.strings),
            Some(()) => Self::OtherArray,
            None => Self::Not,
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    strings: Vec<String>,
    only_strings: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

impl Container {
    fn end(self) -> char {
        match self {
            Self::Array => ']',
            Self::Object => '}',
        }
    }
}

impl Reader<'_> {
    /// Reads one array and nothing after it, without recursion: the nesting is the author's to choose.
    fn read_document(&mut self) -> Option<()> {
        let mut open: Vec<Container> = Vec::new();
        loop {
            // A value begins here; an opened container is a value that may not be finished yet.
            self.skip_blanks();
            let finished = match self.rest.bytes().next()? {
                b'[' => {
                    self.only_strings &= open.is_empty();
                    self.open_container(Container::Array, &mut open)
                }
                b'{' => {
                    self.only_strings = false;
                    self.open_container(Container::Object, &mut open)
                }
                b'"' => {
                    let string = self.read_string()?;
                    if open.len() == 1 {
                        self.strings.push(string);
                    }
                    true
                }
                _ => {
                    self.only_strings = false;
                    self.read_bare_word()?;
                    true
                }
            };
            if finished {
                self.read_ends(&mut open)?;
                if open.is_empty() {
                    return self.at_end();
                }
            } else if open.last() == Some(&Container::Object) {
                self.read_key()?;
            }
        }
    }

    /// Opens a container, and closes it where it is empty; says whether it did.
    fn open_container(&mut self, container: Container, open: &mut Vec<Container>) -> bool {
        self.rest = &self.rest[1..];
        let empty = self.take(container.end());
        if !empty {
            open.push(container);
        }
        empty
    }

    /// After a value: closing brackets, or a comma that another value must follow.
    fn read_ends(&mut self, open: &mut Vec<Container>) -> Option<()> {
        while let Some(container) = open.last().copied() {
            if self.take(',') {
                return if container == Container::Object { self.read_key() } else { Some(()) };
            }
            if !self.take(container.end()) {
                return None;
            }
            open.pop();
        }
        Some(())
    }

    fn read_key(&mut self) -> Option<()> {
        self.skip_blanks();
        self.read_string()?;
        self.take(':').then_some(())
    }

    fn read_string(&mut self) -> Option<String> {
        let mut letters = self.rest.strip_prefix('"')?.chars();
        let mut text = String::new();
        loop {
            match letters.next()? {
                '"' => break,
                '\\' => text.push(match letters.next()? {
                    letter @ ('"' | '\\' | '/') => letter,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => read_unicode(&mut letters)?,
                    _ => return None,
                }),
                letter if letter < ' ' => return None,
                letter => text.push(letter),
            }
        }
        self.rest = letters.as_str();
        Some(text)
    }

    /// A number, `true`, `false` or `null`.
    fn read_bare_word(&mut self) -> Option<()> {
        let length = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '+' | '-' | '.'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        (matches!(word, "true" | "false" | "null") || is_number(word)).then_some(())
    }

    fn take(&mut self, letter: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn at_end(&mut self) -> Option<()> {
        self.skip_blanks();
        self.rest.is_empty().then_some(())
    }
}

/// The four digits after `\u`, and the second half of a surrogate pair where they are the first.
fn read_unicode(letters: &mut std::str::Chars<'_>) -> Option<char> {
    let first = read_hex(letters)?;
    if !(0xd800..0xdc00).contains(&first) {
        // A lone second half is no character; Go reads it as the replacement character.
        return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = letters.clone();
    if ahead.next() == Some('\\')
        && ahead.next() == Some('u')
        && let Some(second) = read_hex(&mut ahead)
        && (0xdc00..0xe000).contains(&second)
    {
        *letters = ahead;
        return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
    }
    Some(char::REPLACEMENT_CHARACTER)
}

fn read_hex(letters: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |value, _| Some(value * 16 + letters.next()?.to_digit(16)?))
}

/// JSON's grammar of numbers: no plus, no leading zero, digits on both sides of the point.
fn is_number(word: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (word, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arrays_of_strings_are_read() {
        for (text, strings) in [
            ("[]", vec![]),
            (" [ ] ", vec![]),
            (r#"["a"]"#, vec!["a"]),
            (r#"[ "a b" , "" ]"#, vec!["a b", ""]),
            (r#"["\"\\\/\b\f\n\r\t\u0041\ud83d\ude00"]"#, vec!["\"\\/\u{8}\u{c}\n\r\tA😀"]),
            (r#"["\ud83d","\ude00"]"#, vec!["\u{fffd}", "\u{fffd}"]),
        ] {
            let expected = strings.into_iter().map(str::to_owned).collect();
            assert_eq!(JsonForm::read(text), JsonForm::Strings(expected), "{text}");
        }
    }

    #[test]
    fn arrays_of_anything_else_are_told_apart_from_text() {
        for text in [
            "[1]",
            r#"["a", null]"#,
            "[[]]",
            r#"[["a"]]"#,
            r#"[{"a": [1, {"b": -0.5e+3}], "c": "d"}, true]"#,
            "[{}]",
        ] {
            assert_eq!(JsonForm::read(text), JsonForm::OtherArray, "{text}");
        }
        for text in [
            "",
            "echo",
            "[ -f x ]",
            r#"["a",]"#,
            r#"["a" "b"]"#,
            r#"["a"] && x"#,
            "['a']",
            "[\"a\tb\"]",
            r#"["\x"]"#,
            "[01]",
            "[1.]",
            "[",
            "[[",
            "[{]",
            r#"[{"a"}]"#,
        ] {
            assert_eq!(JsonForm::read(text), JsonForm::Not, "{text}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let text = "[".repeat(200_000);
        assert_eq!(JsonForm::read(&text), JsonForm::Not);
        let closed = text + &"]".repeat(200_000);
        assert_eq!(JsonForm::read(&closed), JsonForm::OtherArray);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"\[[\[\]{}",:\\u0-9a-f ]{0,30}"#) {
            let _ = JsonForm::read(&text);
        }
    }
}

//! Finds the FROM lines of a Dockerfile, for pinning. The Dockerfile has been checked before.

use std::{collections::BTreeMap, ops::Range};

/// Values of variables by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// One FROM line.
#[derive(Clone, Debug)]
pub(super) struct FromLine {
    /// Where the image stands in the text.
    pub(super) image: Range<usize>,
    /// The value of `--platform`, as written.
    pub(super) platform: Option<String>,
    /// The name of the stage, in lower case.
    pub(super) stage: Option<String>,
    /// The ARG instructions before the first FROM: names and defaults, as written.
    pub(super) globals: Vec<(String, Option<String>)>,
}

/// Whether an instruction has a heredoc.
pub(super) fn uses_heredocs(text: &str) -> bool {
    scan(text).1
}

/// The FROM lines in order.
pub(super) fn from_lines(text: &str) -> Vec<FromLine> {
    scan(text).0
}

/// The FROM lines, and whether there is a heredoc.
fn scan(text: &str) -> (Vec<FromLine>, bool) {
    let escape = escape_character(text);
    let mut found = Vec::new();
    let mut globals = Vec::new();
    let mut at = 0;
    let mut heredocs: Vec<String> = Vec::new();
    let mut any_heredoc = false;
    while at < text.len() {
        let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
        if let Some(word) = heredocs.first() {
            if text[at..line_end].trim() == word {
                heredocs.remove(0);
            }
            at = line_end;
            continue;
        }
        if text[at..line_end].trim_start().starts_with('#') {
            at = line_end;
            continue;
        }
        let (words, end) = words(text, at, escape);
        let word = |index: usize| words.get(index).map(|range: &Range<usize>| &text[range.clone()]);
        match word(0).map(str::to_uppercase).as_deref() {
            Some("FROM") => found.extend(from_line(text, &words[1..], &globals)),
            Some("ARG") if found.is_empty() => globals.extend(words[1..].iter().map(|range| {
                let (name, value) = match text[range.clone()].split_once('=') {
                    Some((name, value)) => (name, Some(value.trim_matches(['"', '\'']).to_owned())),
                    None => (&text[range.clone()], None),
                };
                (name.to_owned(), value)
            })),
            Some("RUN" | "COPY" | "ADD") => {
                heredocs = words[1..].iter().filter_map(|range| heredoc(&text[range.clone()])).collect();
                any_heredoc |= !heredocs.is_empty();
            }
            _ => {}
        }
        at = end;
    }
    (found, any_heredoc)
}

fn from_line(text: &str, words: &[Range<usize>], globals: &[(String, Option<String>)]) -> Option<FromLine> {
    let flags = words.iter().take_while(|range| text[(*range).clone()].starts_with("--")).count();
    let platform = words[..flags].iter().find_map(|range| text[range.clone()].strip_prefix("--platform="));
    let rest = &words[flags..];
    let stage = match rest {
        [_, word, name, ..] if text[word.clone()].eq_ignore_ascii_case("as") => {
            Some(text[name.clone()].to_lowercase())
        }
        _ => None,
    };
    Some(FromLine {
        image: rest.first()?.clone(),
        platform: platform.map(str::to_owned),
        stage,
        globals: globals.to_vec(),
    })
}

/// The words of the instruction that starts at `at`, and where it ends.
fn words(text: &str, mut at: usize, escape: u8) -> (Vec<Range<usize>>, usize) {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let mut begin = None;
    while at < bytes.len() {
        let continued = (bytes[at] == escape)
            .then(|| text[at + 1..].find('\n').filter(|end| text[at + 1..=at + end].trim().is_empty()))
            .flatten();
        if let Some(end) = continued {
            words.extend(begin.take().map(|begin| begin..at));
            at += end + 2;
            // Comments and empty lines may stand within an instruction.
            while let Some(end) = text[at..].find('\n').filter(|end| {
                let line = text[at..at + end].trim_start();
                line.is_empty() || line.starts_with('#')
            }) {
                at += end + 1;
            }
            continue;
        }
        match bytes[at] {
            b'\n' => break,
            byte if byte.is_ascii_whitespace() => words.extend(begin.take().map(|begin| begin..at)),
            _ => begin = begin.or(Some(at)),
        }
        at += 1;
    }
    words.extend(begin.map(|begin| begin..at));
    (words, (at + 1).min(bytes.len()))
}

/// The directive `# escape=` may stand among the comments at the very top.
fn escape_character(text: &str) -> u8 {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#')?.split_once('='));
    let escape = directives.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    if escape.is_some_and(|(_, value)| value.trim() == "`") { b'`' } else { b'\\' }
}

/// The word that ends the heredoc that `word` opens.
fn heredoc(word: &str) -> Option<String> {
    let at = word.find("<<")?;
    let name = word[at + 2..].trim_start_matches('-').trim_matches(['"', '\'']);
    let is_name =
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    (is_name && word[..at].chars().all(|digit| digit.is_ascii_digit())).then(|| name.to_owned())
}

/// Expands `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+value}`; `None` for anything else. A global ARG is
/// what `variables` says, or else its default.
pub(super) fn expand(
    text: &str,
    globals: &[(String, Option<String>)],
    variables: &Variables,
) -> Option<String> {
    let Some(dollar) = text.find('$') else { return Some(text.trim_matches(['"', '\'']).to_owned()) };
    let (before, rest) = (&text[..dollar], &text[dollar + 1..]);
    let (expression, after) = if let Some(inner) = rest.strip_prefix('{') {
        let end = inner.find('}')?;
        (&inner[..end], &inner[end + 1..])
    } else {
        let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        rest.split_at(end.unwrap_or(rest.len()))
    };
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let (name, operator) = match expression.find(':') {
        Some(colon) => expression.split_at(colon),
        None => (expression, ""),
    };
    if !is_name(name) {
        return None;
    }
    let index = globals.iter().rposition(|(global, _)| global == name);
    let known = variables.0.get(name).cloned();
    let value = match (known, index.and_then(|index| globals[index].1.as_deref().map(|text| (index, text)))) {
        (Some(value), _) => value,
        // A default sees what was declared before it.
        (None, Some((index, default))) => expand(default, &globals[..index], variables)?,
        (None, None) => String::new(),
    };
    let value = match (operator.get(..2), operator.get(2..)) {
        (None, _) if operator.is_empty() => value,
        (Some(":-"), Some(default)) if value.is_empty() => expand(default, globals, variables)?,
        (Some(":-"), _) => value,
        (Some(":+"), Some(_)) if value.is_empty() => String::new(),
        (Some(":+"), Some(instead)) => expand(instead, globals, variables)?,
        _ => return None,
    };
    Some(format!("{before}{value}{}", expand(after, globals, variables)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn images(text: &str) -> Vec<&str> {
        from_lines(text).into_iter().map(|line| &text[line.image]).collect()
    }

    #[test]
    fn only_real_from_lines_are_found() {
        let text = "# escape=\\\n# FROM x\nARG A=1\nfrom a AS one\nRUN <<EOF\nFROM no\nEOF\nRUN echo \\\n  FROM no\n\
                    COPY <<-\"X\" /y\nFROM no\nX\n FROM \\\n  # why\n  --platform=linux/amd64 b\nENV x=FROM\n";
        assert_eq!(images(text), ["a", "b"]);
        let lines = from_lines(text);
        assert_eq!(lines[0].stage.as_deref(), Some("one"));
        assert_eq!(lines[1].platform.as_deref(), Some("linux/amd64"));
        assert_eq!(images("# escape=`\nFROM `\n a\n"), ["a"]);
    }

    #[test]
    fn heredocs_are_told_from_other_uses_of_their_sign() {
        for (text, uses) in [
            ("FROM a\nRUN <<EOF\nx\nEOF\n", true),
            ("FROM a\nRUN cat <<-'E' > /x\nx\nE\n", true),
            ("FROM a\nRUN 3<<E cat\nE\n", true),
            ("FROM a\nRUN echo $((1<<2)) <<< x\n", false),
            ("FROM a\nENV X=<<EOF\n", false),
        ] {
            assert_eq!(uses_heredocs(text), uses, "{text}");
        }
    }

    #[test]
    fn variables_expand_as_in_a_shell() {
        let variables = Variables::from([("V", "2"), ("E", "")]);
        let globals = [("D".to_owned(), Some("d$V".to_owned())), ("N".to_owned(), None)];
        for (text, value) in [
            ("a:$V", Some("a:2")),
            ("a:${V}-x", Some("a:2-x")),
            ("${X:-y}", Some("y")),
            ("${E:-$V}", Some("2")),
            ("${V:+yes}", Some("yes")),
            ("${E:+yes}b", Some("b")),
            ("$D$N", Some("d2")),
            ("${V%2}", None),
            ("${V", None),
            ("$", None),
        ] {
            assert_eq!(expand(text, &globals, &variables).as_deref(), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(FROM|RUN|ARG|<<E|\\\\|\n|#| |\\$|\\{|\\}|:|-|a|é|=|`){0,40}") {
            for line in from_lines(&text) {
                let _ = expand(&text[line.image], &line.globals, &Variables::default());
            }
        }
    }
}

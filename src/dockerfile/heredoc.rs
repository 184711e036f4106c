//! Finds the `<<NAME` markers in a line.

use std::collections::BTreeMap;

use super::{
    ast::Heredoc,
    error::{ErrorKind, Mistake, Span},
    expand::{ExpandError, Expander},
    lexer::Line,
};

/// An announced heredoc.
pub(super) struct Marker {
    pub(super) name: String,
    pub(super) expand: bool,
    pub(super) strip_tabs: bool,
    pub(super) span: Span,
}

/// The markers in a line, in order.
pub(super) fn markers(line: &Line) -> Result<Vec<Marker>, Mistake> {
    let env = BTreeMap::new();
    // The first pass only splits, and must leave everything that the second pass reads. A line that cannot be
    // split has no heredoc: `RUN echo it's <<EOF` is a matter for the shell.
    let splitter = Expander::new('\\', &env).keeping_quotes().keeping_escapes().keeping_unset();
    let Ok(words) = splitter.words(&line.text) else { return Ok(Vec::new()) };
    let mut searched = 0;
    let mut markers = Vec::new();
    for word in words {
        let found = line.text[searched..].find(&word).map(|at| searched + at..searched + at + word.len());
        let span = found.as_ref().map_or(line.span, |range| line.span_of(range.clone()));
        searched = found.map_or(searched, |range| range.end);
        let marker = read_marker(&word, span);
        markers.extend(marker.map_err(|error| span.mistake(ErrorKind::Expand(error)))?);
    }
    Ok(markers)
}

/// The name that a word such as `<<-"EOF"` announces.
pub(super) fn marker_name(word: &str) -> Option<String> {
    let nowhere = Span { start: 0, end: 0, line: 0, last_line: 0 };
    Some(read_marker(word, nowhere).ok()??.name)
}

/// Digits, `<<`, an optional `-`, blanks, and one word without `<`.
fn read_marker(word: &str, span: Span) -> Result<Option<Marker>, ExpandError> {
    let Some(rest) = word.trim_start_matches(|digit: char| digit.is_ascii_digit()).strip_prefix("<<") else {
        return Ok(None);
    };
    let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let delimiter = rest.trim_start_matches([' ', '\t', '\r', '\n', '\x0c']);
    if delimiter.is_empty() || delimiter.contains('<') {
        return Ok(None);
    }
    let env = BTreeMap::new();
    let expander = Expander::new('\\', &env).keeping_unset();
    let words = expander.words(delimiter)?;
    let raw = expander.keeping_quotes().words(delimiter)?;
    let ([name], [raw]) = (words.as_slice(), raw.as_slice()) else { return Ok(None) };
    // A delimiter that lost quotes on the way was quoted, and asks for its heredoc to be left alone.
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Marker { name: name.clone(), expand: quotes(name) == quotes(raw), strip_tabs, span }))
}

impl Heredoc {
    /// The content without the leading tabs that `<<-` asks to remove.
    pub fn text(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_words_of_their_own_form() {
        for word in ["<<EOF", "<<-EOF", "3<<EOF", "<<'EOF'", "<<\"EOF\"", "<<E\"O\"F", "<< EOF", "<<- EOF"] {
            assert_eq!(marker_name(word).as_deref(), Some("EOF"), "{word}");
        }
        for word in
            ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<EOF sh", "x<<EOF", "\"<<EOF\"", "<<'EOF", "<<A<B"]
        {
            assert_eq!(marker_name(word), None, "{word}");
        }
    }

    #[test]
    fn a_delimiter_keeps_what_is_no_quote() {
        for (word, name) in
            [("<<$EOF", "$EOF"), ("<<eo\\'f", "eo'f"), ("<<'one two'", "one two"), ("<<a.txt", "a.txt")]
        {
            assert_eq!(marker_name(word).as_deref(), Some(name), "{word}");
        }
    }
}

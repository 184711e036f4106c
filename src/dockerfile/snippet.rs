//! Draws the place of a mistake: the lines around it and carets under it.

use super::error::Span;

/// How many columns a tab takes in the drawing; real tab stops depend on the terminal.
const TAB: &str = "    ";

/// The first line of `span` in `text`, the line before it, and carets under the part that the span covers.
///
/// A span over several lines is marked up to the end of its first line. `text` may be another text than the one
/// the span was made for; the drawing is then of little use, but still made.
pub fn snippet(file: &str, text: &str, span: Span) -> String {
    let start = floor_boundary(text, span.start);
    let end = floor_boundary(text, span.end.max(start));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let width = span.line.to_string().len();

    let before = match line_start.checked_sub(1) {
        Some(before_end) if span.line > 1 => {
            let before_start = text[..before_end].rfind('\n').map_or(0, |newline| newline + 1);
            numbered(span.line - 1, width, &text[before_start..before_end])
        }
        _ => String::new(),
    };
    let marked_line = numbered(span.line, width, &text[line_start..line_end]);
    let marked = text[start..end.min(line_end)].trim_end();
    let indent = columns(&visible(&text[line_start..start]));
    let carets = columns(&visible(marked)).max(1);
    let (nothing, carets) = ("", "^".repeat(carets));
    format!("{file}:{}\n{before}{marked_line}  {nothing:width$} │ {nothing:indent$}{carets}\n", span.line)
}

fn numbered(number: usize, width: usize, line: &str) -> String {
    format!("  {number:width$} │ {}", visible(line)).trim_end().to_owned() + "\n"
}

/// What is drawn for a part of a line: no tabs, and no character that a terminal would act on.
fn visible(part: &str) -> String {
    let part = part.trim_end_matches('\r').trim_start_matches('\u{feff}');
    let mut drawn = String::with_capacity(part.len());
    for letter in part.chars() {
        match letter {
            '\t' => drawn.push_str(TAB),
            // Directional marks would turn the rest of the line round.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => drawn.push('\u{fffd}'),
            letter if letter.is_control() => drawn.push('\u{fffd}'),
            letter => drawn.push(letter),
        }
    }
    drawn
}

/// How many columns a terminal uses for `text`, near enough without Unicode's tables.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|letter| match u32::from(letter) {
            // Combining marks, joiners and variation selectors draw over the letter before.
            0x0300..=0x036f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
            // Hangul, CJK, full-width forms and emoji.
            0x1100..=0x115f
            | 0x2e80..=0x303e
            | 0x3041..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1f64f
            | 0x1f680..=0x1f6ff
            | 0x1f900..=0x1f9ff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// The nearest character boundary at or before `at`.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span_of(text: &str, part: &str) -> Span {
        let start = text.find(part).expect("the part is in the text");
        let line = 1 + text[..start].matches('\n').count();
        Span { start, end: start + part.len(), line, last_line: line + part.matches('\n').count() }
    }

    #[test]
    fn the_place_is_marked_under_its_line() {
        let text = "# one\nFROM alpine\nRNU make\n";
        let expected = "Dockerfile:3\n  2 │ FROM alpine\n  3 │ RNU make\n    │ ^^^\n";
        assert_eq!(snippet("Dockerfile", text, span_of(text, "RNU")), expected);
    }

    #[test]
    fn the_first_line_has_none_before_it() {
        let text = "FORM alpine";
        assert_eq!(snippet("D", text, span_of(text, "FORM")), "D:1\n  1 │ FORM alpine\n    │ ^^^^\n");
    }

    #[test]
    fn numbers_align_where_they_grow_longer() {
        let text = "\n".repeat(8) + "FROM a\nRNU b\n";
        let expected = "D:10\n   9 │ FROM a\n  10 │ RNU b\n     │ ^^^\n";
        assert_eq!(snippet("D", &text, span_of(&text, "RNU")), expected);
    }

    #[test]
    fn tabs_and_wide_letters_keep_the_caret_in_its_column() {
        let text = "RUN\techo 한국 x\u{301}y BAD\n";
        let expected = "D:1\n  1 │ RUN    echo 한국 x\u{301}y BAD\n    │                     ^^^\n";
        assert_eq!(snippet("D", text, span_of(text, "BAD")), expected);
        let wide = "RUN 한국\n";
        assert!(snippet("D", wide, span_of(wide, "한국")).ends_with("│     ^^^^\n"));
    }

    #[test]
    fn a_span_over_lines_is_marked_on_its_first() {
        let text = "RUN a \\\r\n  b\r\n";
        let expected = "D:1\n  1 │ RUN a \\\n    │ ^^^^^^^\n";
        assert_eq!(snippet("D", text, span_of(text, "RUN a \\\r\n  b")), expected);
    }

    #[test]
    fn terminal_control_characters_are_not_drawn() {
        let text = "RUN \u{1b}[31m\u{202e}x";
        assert!(!snippet("D", text, span_of(text, "x")).contains(['\u{1b}', '\u{202e}']));
    }

    proptest! {
        #[test]
        fn no_text_and_no_span_panics(text in "(?s).{0,60}", start in 0usize..80, end in 0usize..80, line in 0usize..9) {
            let drawing = snippet("D", &text, Span { start, end, line, last_line: line });
            prop_assert!(drawing.contains('^'));
        }
    }
}

//! Text from elsewhere for a terminal, which acts on some characters instead of drawing them.
//!
//! File names, words of registries and lines of Dockerfiles may hold any of them: they move the cursor over what is
//! there, set the title of the window, or answer in the place of whoever is asked next.

/// What is drawn where a character would be acted on.
const REPLACEMENT: char = '\u{fffd}';

/// The text as one line that is only drawn.
pub(super) fn line(text: &str) -> String {
    let drawn = |letter| match letter {
        '\n' | '\t' => ' ',
        letter if letter.is_control() => REPLACEMENT,
        letter => letter,
    };
    text.chars().map(drawn).collect()
}

/// The text with its lines and columns, and otherwise only drawn.
pub(super) fn lines(text: &str) -> String {
    let is_acted_on = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    text.chars().map(|letter| if is_acted_on(letter) { REPLACEMENT } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_acts_on() {
        let text = "a\tb\r\n\u{1b}]0;title\u{7}\u{9b}31mé\u{7f}";
        assert_eq!(line(text), "a b\u{fffd} \u{fffd}]0;title\u{fffd}\u{fffd}31mé\u{fffd}");
        assert_eq!(lines(text), "a\tb\u{fffd}\n\u{fffd}]0;title\u{fffd}\u{fffd}31mé\u{fffd}");
    }
}

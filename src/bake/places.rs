//! Lines and columns: of any point of a text, and of what a path of keys leads to.

use std::{collections::BTreeMap, sync::Arc};

use super::error::Place;

/// How many bytes are between two points whose positions are noted.
const STEP: usize = 1 << 10;

/// The positions of a text. However long it is and however long its lines are, looking one up takes the same time.
#[derive(Debug)]
pub(crate) struct Positions {
    text: String,
    /// Points of the text in their order, each with its line and its column.
    noted: Vec<(usize, (usize, usize))>,
}

impl Positions {
    pub(crate) fn new(text: &str) -> Self {
        let mut noted = vec![(0, (1, 1))];
        let mut position = (1, 1);
        for (at, letter) in text.char_indices() {
            if noted.last().is_none_or(|(last, _)| at - last >= STEP) {
                noted.push((at, position));
            }
            position = after(position, letter);
        }
        Self { text: text.to_owned(), noted }
    }

    /// The line and the column of a byte, both from 1 on; columns are characters.
    pub(crate) fn of(&self, at: usize) -> Option<(usize, usize)> {
        let before = self.noted.partition_point(|(noted, _)| *noted <= at).checked_sub(1)?;
        let (noted, position) = *self.noted.get(before)?;
        Some(self.text.get(noted..at)?.chars().fold(position, after))
    }
}

fn after((line, column): (usize, usize), letter: char) -> (usize, usize) {
    if letter == '\n' { (line + 1, 1) } else { (line, column + 1) }
}

/// Where the values of files are, by the keys that lead to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    by_path: BTreeMap<Vec<String>, Place>,
}

impl Places {
    pub(crate) fn note(&mut self, path: &[String], file: &Arc<str>, position: (usize, usize)) {
        let place = Place { file: file.clone(), position: Some(position) };
        self.by_path.insert(path.to_vec(), place);
    }

    /// Adds the places of a file that is laid over the files before it.
    pub(crate) fn extend(&mut self, later: Self) {
        self.by_path.extend(later.by_path);
    }

    /// Where a path leads to, or the nearest thing around it whose place is known.
    pub(crate) fn of<P: AsRef<str>>(&self, path: &[P]) -> Option<&Place> {
        let mut path: Vec<String> = path.iter().map(|key| key.as_ref().to_owned()).collect();
        loop {
            if let Some(place) = self.by_path.get(&path) {
                return Some(place);
            }
            path.pop()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_of_a_long_text_has_its_line_and_its_column() {
        let text = format!("a\nß{}\n{}z", "é".repeat(3000), "\n".repeat(3000));
        let positions = Positions::new(&text);
        let mut expected = (1, 1);
        for (at, letter) in text.char_indices() {
            assert_eq!(positions.of(at), Some(expected), "{at}");
            expected = after(expected, letter);
        }
        assert_eq!(positions.of(text.len()), Some(expected));
        assert_eq!(positions.of(3), None, "it is inside a letter");
        assert_eq!(positions.of(text.len() + 1), None);
    }
}

//! The variables that a stage has, by names as the system of its image tells them apart.
//!
//! On Windows, `Path` and `PATH` are one variable. What an image is for decides that, not where it is built: BuildKit
//! asks the system of its daemon, which is the same one wherever it builds images of Windows with RUN.
//!
//! Source: BuildKit, `frontend/dockerfile/shell` (`EqualEnvKeys`).

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use polyarch_actors::ImageOs;

/// Where the values of variables are looked up.
pub trait Values: fmt::Debug {
    /// The value of a variable; `None` where it is not set.
    fn value(&self, name: &str) -> Option<&str>;
}

impl Values for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// The variables of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variables {
    os: ImageOs,
    /// By their folded names: the name as it was written last, and the value.
    values: BTreeMap<String, (String, String)>,
}

impl Variables {
    /// No variables, of a stage for `os`.
    pub(crate) fn new(os: ImageOs) -> Self {
        Self { os, values: BTreeMap::new() }
    }

    /// Sets a variable, which then is spelled like this.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(folded(name, self.os).into_owned(), (name.to_owned(), value.to_owned()));
    }

    /// Sets a variable that has no value.
    pub(crate) fn set_default(&mut self, name: &str, value: &str) {
        if let Entry::Vacant(vacant) = self.values.entry(folded(name, self.os).into_owned()) {
            vacant.insert((name.to_owned(), value.to_owned()));
        }
    }

    /// The names and values, each name once, in an order that does not depend on how they were set.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.values().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Values for Variables {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(&*folded(name, self.os)).map(|(_, value)| value.as_str())
    }
}

/// A name of a variable such that those of one variable are equal. Windows has a capital letter for each letter, never
/// two.
pub(crate) fn folded(name: &str, os: ImageOs) -> Cow<'_, str> {
    match os {
        ImageOs::Linux => Cow::Borrowed(name),
        ImageOs::Windows => Cow::Owned(name.chars().map(capital).collect()),
    }
}

fn capital(letter: char) -> char {
    let mut capitals = letter.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => capital,
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::Expander;

    fn variables(os: ImageOs) -> Variables {
        let mut variables = Variables::new(os);
        for (name, value) in [("Path", "one"), ("PATH", "two"), ("größe", "small"), ("GRÖßE", "large")] {
            variables.set(name, value);
        }
        variables
    }

    #[test]
    fn names_differ_by_more_than_case_on_windows_alone() {
        let windows = variables(ImageOs::Windows);
        assert_eq!(windows.iter().collect::<Vec<_>>(), [("GRÖßE", "large"), ("PATH", "two")]);
        let expanded = Expander::new('`', &windows).expand("$path ${pAth:-none} ${Größe} ${PATHS:-none}");
        assert_eq!(expanded.map(|expansion| expansion.text).as_deref(), Ok("two two large none"));
        let linux = variables(ImageOs::Linux);
        assert_eq!(linux.iter().count(), 4);
        let expanded = Expander::new('\\', &linux).expand("$Path $PATH ${path:-none}");
        assert_eq!(expanded.map(|expansion| expansion.text).as_deref(), Ok("one two none"));
    }

    #[test]
    fn a_default_replaces_no_value_of_the_same_variable() {
        for (os, count) in [(ImageOs::Windows, 1), (ImageOs::Linux, 2)] {
            let mut variables = Variables::new(os);
            variables.set("Http_Proxy", "own");
            variables.set_default("HTTP_PROXY", "given");
            variables.set_default("Http_Proxy", "given");
            assert_eq!((variables.iter().count(), variables.value("Http_Proxy")), (count, Some("own")));
        }
    }

    #[test]
    fn no_letter_becomes_two() {
        assert_eq!(folded("straße_ŉ", ImageOs::Windows), "STRAßE_ŉ");
    }
}

//! Paths inside a context: bytes, relative to its root, that cannot name anything outside.

use std::fmt;

/// A path below a root. Components are separated by `/`; none is empty, `.` or `..`; the root itself is empty.
///
/// File names on Unix are bytes, so a path need not be text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RelPath(Vec<u8>);

impl RelPath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path as if the root were `/`: `.` and empty components vanish, and `..` takes the component before
    /// it away but never leaves the root. Nothing is looked up.
    pub fn clean(text: &[u8]) -> Self {
        let mut clean = Vec::with_capacity(text.len());
        for component in text.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => clean.truncate(clean.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
                component => push(&mut clean, component),
            }
        }
        Self(clean)
    }

    /// This path and one name below it.
    ///
    /// The name must be one that a directory can hold.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Self {
        debug_assert!(!name.contains(&b'/') && !matches!(name, b"" | b"." | b".."), "{name:?} is no name");
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        push(&mut path, name);
        Self(path)
    }

    /// The bytes, without a slash at either end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the root down.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|component| !component.is_empty())
    }

    /// The directory that holds this, and its name there; `None` for the root.
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (Self(self.0[..slash].to_vec()), &self.0[slash + 1..]),
            None => (Self::root(), &self.0),
        })
    }

    /// What is left of this path below `base`, empty for `base` itself; `None` when it is elsewhere.
    pub fn below(&self, base: &Self) -> Option<&[u8]> {
        if base.is_root() {
            return Some(&self.0);
        }
        match self.0.strip_prefix(base.as_bytes())? {
            b"" => Some(b""),
            rest => rest.strip_prefix(b"/"),
        }
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.pad(".") } else { f.pad(&String::from_utf8_lossy(&self.0)) }
    }
}

fn push(path: &mut Vec<u8>, component: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(component);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dots_and_slashes_vanish_and_nothing_climbs_out() {
        for (text, clean) in [
            ("", ""),
            ("/", ""),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("../../etc/passwd", "etc/passwd"),
            ("a/b/../../..", ""),
            ("..a/.b/c..", "..a/.b/c.."),
        ] {
            assert_eq!(RelPath::clean(text.as_bytes()).as_bytes(), clean.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_path_is_below_its_parents_but_not_below_a_name_that_begins_alike() {
        let path = RelPath::clean(b"a/b/c");
        assert_eq!(path.below(&RelPath::root()), Some(&b"a/b/c"[..]));
        assert_eq!(path.below(&RelPath::clean(b"a")), Some(&b"b/c"[..]));
        assert_eq!(path.below(&path), Some(&b""[..]));
        assert_eq!(RelPath::clean(b"ab").below(&RelPath::clean(b"a")), None);
    }

    proptest! {
        #[test]
        fn a_clean_path_has_only_real_names_and_is_built_of_its_parts(
            text in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40),
        ) {
            let path = RelPath::clean(&text);
            let mut built = RelPath::root();
            for component in path.components() {
                prop_assert!(!matches!(component, b"." | b".."));
                built = built.child(component);
            }
            prop_assert_eq!(&built, &path);
            prop_assert_eq!(&RelPath::clean(path.as_bytes()), &path);
            if let Some((parent, name)) = path.split() {
                prop_assert_eq!(parent.child(name), path.clone());
            }
        }
    }
}

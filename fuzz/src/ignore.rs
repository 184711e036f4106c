//! `.dockerignore`: patterns and paths.

use polyarch::context::{Ignore, RelPath};

/// Reads the input as a path, a line break and an ignore file.
pub fn check(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (path, file) = (RelPath::clean(&data[..end]), data.get(end + 1..).unwrap_or_default());
    let Ok(ignore) = Ignore::parse(file) else { return };
    if path.is_root() {
        return;
    }
    let ignored = ignore.is_ignored(path.as_bytes());
    assert_eq!(ignore.deciding(path.as_bytes()).is_some_and(|rule| !rule.is_negated()), ignored);
    if ignored && !ignore.has_exceptions() {
        assert!(ignore.is_ignored(path.child(b"below").as_bytes()), "{path:?} hides nothing below it");
    }
    assert!(!ignore.is_empty() || !ignored);
    let with = |line: &[u8]| {
        Ignore::parse(&[file, b"\n", line].concat()).map(|more| more.is_ignored(path.as_bytes()))
    };
    assert_eq!(with(b"# comment\n\n"), Ok(ignored), "a comment changes {path:?}");
    assert_eq!(with(b"**"), Ok(true), "the last pattern decides {path:?}");
    assert_eq!(with(b"!**"), Ok(false), "the last pattern decides {path:?}");
    let exclude: Vec<&[u8]> = file.split(|byte| *byte == b'\n').collect();
    let _ = Ignore::from_patterns(exclude).map(|ignore| ignore.is_ignored(path.as_bytes()));
}

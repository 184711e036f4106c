//! Which distribution an image is.
//!
//! Source: systemd, `os-release(5)`.

use super::kind::lines;

/// A distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Release {
    /// Its name in lower case, such as `debian`.
    pub(crate) id: String,
    /// Its version, such as `12`; empty where it has none.
    pub(crate) version: String,
}

impl Release {
    /// Reads the lines `KEY=VALUE` of `os-release`.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut release = Self::default();
        for (key, value) in lines(bytes).filter_map(|line| line.split_once('=')) {
            let value = value.trim().trim_matches(['"', '\'']);
            let is_plain = value.len() <= 64
                && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            match key {
                "ID" if is_plain => value.clone_into(&mut release.id),
                "VERSION_ID" if is_plain => value.clone_into(&mut release.version),
                _ => {}
            }
        }
        Some(release).filter(|release| !release.id.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_says_what_it_is() {
        let read = |text: &str| Release::read(text.as_bytes());
        let release = |id: &str, version: &str| Some(Release { id: id.into(), version: version.into() });
        assert_eq!(read("NAME=\"Debian\"\nVERSION_ID=\"12\"\nID=debian\n"), release("debian", "12"));
        assert_eq!(read("ID='alpine'\nVERSION_ID=3.17.0\n"), release("alpine", "3.17.0"));
        assert_eq!(read("ID=\"a b\"\n"), None);
        assert_eq!(read(""), None);
    }
}

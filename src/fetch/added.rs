//! What the sources of ADD are.
//!
//! Source: BuildKit, `dockerfile2llb/convert.go` (`dispatchCopy`).

use super::{checksum::Checksum, error::FetchError, git::GitSource};

/// A source of ADD that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteSource {
    /// A git repository, whose files are copied, for [`git`](super::git()).
    Git(GitSource),
    /// A file of a web server, for [`http`](super::http()).
    Http {
        /// Its address.
        url: String,
        /// What it must be.
        checksum: Option<Checksum>,
    },
}

impl RemoteSource {
    /// Reads a source of ADD and the value of `--checksum`; `None` for a path in the context.
    ///
    /// # Errors
    /// [`FetchError::GitUrl`] and [`FetchError::BadChecksum`] for what is malformed, [`FetchError::LocalChecksum`]
    /// when a path has a checksum.
    pub fn of_add(source: &str, checksum: Option<&str>) -> Result<Option<Self>, FetchError> {
        if let Some(git) = GitSource::parse(source)?.filter(|git| !git.looks_local) {
            let git = match checksum {
                Some(checksum) => git.expecting(checksum)?,
                None => git,
            };
            return Ok(Some(Self::Git(git)));
        }
        if source.starts_with("http://") || source.starts_with("https://") {
            let checksum = checksum.map(str::parse).transpose()?;
            return Ok(Some(Self::Http { url: source.to_owned(), checksum }));
        }
        if checksum.is_some() {
            return Err(FetchError::LocalChecksum { path: source.to_owned() });
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart_as_buildkit_does() {
        let read = |source: &str| RemoteSource::of_add(source, None).expect("readable");
        for path in ["a.txt", "github.com/a/b", "dir/*", "./a:b"] {
            assert_eq!(read(path), None, "{path}");
        }
        assert!(matches!(read("https://h/a.git"), Some(RemoteSource::Git(_))));
        assert!(matches!(read("git@h:a.git"), Some(RemoteSource::Git(_))));
        assert!(matches!(read("https://h/a.tgz"), Some(RemoteSource::Http { checksum: None, .. })));
    }

    #[test]
    fn a_checksum_is_that_of_a_commit_or_of_a_file() {
        let sha256 = format!("sha256:{}", "0".repeat(64));
        let read = |source: &str, checksum: &str| RemoteSource::of_add(source, Some(checksum));
        assert!(matches!(
            read("https://h/a", &sha256),
            Ok(Some(RemoteSource::Http { checksum: Some(_), .. }))
        ));
        assert!(matches!(read("https://h/a.git", "abc"), Ok(Some(RemoteSource::Git(_)))));
        assert!(matches!(read("https://h/a", "abc"), Err(FetchError::BadChecksum(_))));
        assert!(matches!(read("https://h/a.git", &sha256), Err(FetchError::GitUrl(_))));
        assert!(matches!(read("a.txt", &sha256), Err(FetchError::LocalChecksum { .. })));
    }
}

//! Where the Dockerfile is, by buildx's rules, and the ignore file that belongs to it alone.
//!
//! Source: buildx, `build/opt.go` (`loadInputs`, `handleLowercaseDockerfile`).

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use polyarch_actors::DockerfileSource;

use crate::{
    context::{Context, Ignore, RelPath, SelectError, select},
    dockerfile::LARGEST_DOCKERFILE,
    error::SpecError,
};

/// Its name where none is given, and the only one that may be written in lower case instead.
const NAME: &str = "Dockerfile";

/// Reads a file of this machine. Where `Dockerfile` is missing, `dockerfile` serves.
pub(super) fn read_local(path: &Path) -> Result<DockerfileSource, SpecError> {
    let mut path = path.to_owned();
    if path.file_name() == Some(OsStr::new(NAME)) && !path.exists() {
        let lower = path.with_file_name(NAME.to_ascii_lowercase());
        if lower.exists() {
            path = lower;
        }
    }
    let unreadable = |source| SpecError::UnreadableDockerfile { path: path.clone(), source };
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SpecError::NoDockerfile { path });
        }
        Err(error) => return Err(unreadable(error)),
    };
    let text = read_text(file).map_err(unreadable)?;
    let mut ignore_file = path.clone().into_os_string();
    ignore_file.push(".dockerignore");
    let ignore = match fs::File::open(&ignore_file) {
        Ok(file) => Some(
            read_text(file)
                .map_err(|source| SpecError::UnreadableDockerfile { path: ignore_file.into(), source })?,
        ),
        Err(_) => None,
    };
    Ok(DockerfileSource { ignore, ..DockerfileSource::new(path.display().to_string(), text) })
}

/// Reads a file of a context that nobody vouches for, in a directory whose path has no links: a symbolic link leads to nothing outside. `place` is how
/// errors call the context, up to the path.
pub(super) fn read_inside(
    folder: &Path,
    wanted: Option<&Path>,
    place: &str,
) -> Result<DockerfileSource, SpecError> {
    let wanted = wanted.unwrap_or(Path::new(NAME));
    let shown = |path: &Path| {
        PathBuf::from(format!("{place}{}", RelPath::clean(path.as_os_str().as_encoded_bytes())))
    };
    let unreadable = |source| SpecError::UnreadableDockerfile { path: shown(wanted), source };
    let context = Context::open_exact(folder, Ignore::default()).map_err(|error| unreadable(other(error)))?;
    let read = |path: &Path| read_one(&context, path.as_os_str().as_encoded_bytes());
    let mut found = read(wanted).map_err(unreadable)?.map(|text| (wanted.to_owned(), text));
    if found.is_none() && wanted.file_name() == Some(OsStr::new(NAME)) {
        let lower = wanted.with_file_name(NAME.to_ascii_lowercase());
        found = read(&lower).map_err(unreadable)?.map(|text| (lower, text));
    }
    let Some((path, text)) = found else { return Err(SpecError::NoDockerfile { path: shown(wanted) }) };
    let mut ignore_file = path.clone().into_os_string();
    ignore_file.push(".dockerignore");
    let ignore = read(Path::new(&ignore_file)).map_err(unreadable)?;
    Ok(DockerfileSource { ignore, ..DockerfileSource::new(shown(&path).display().to_string(), text) })
}

/// The text of one file; `None` where there is none.
fn read_one(context: &Context, name: &[u8]) -> io::Result<Option<String>> {
    // A name, and no pattern: what a pattern would read as something else stands in brackets.
    let mut plain = Vec::new();
    for byte in name {
        match byte {
            b'*' | b'?' | b'[' => plain.extend([b'[', *byte, b']']),
            b'\\' => plain.extend(b"[\\\\]"),
            byte => plain.push(*byte),
        }
    }
    let selected = match select(context, &plain) {
        Ok(selected) => selected,
        Err(SelectError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(other(error)),
    };
    let Some(selected) = selected.into_iter().next() else { return Ok(None) };
    let entries = context.walk(&selected.path).map_err(other)?.unwrap_or_default();
    match entries.into_iter().next() {
        Some(entry) if !selected.is_directory => {
            let file = context.reader().open(&entry).map_err(other)?;
            read_text(file).map(Some)
        }
        _ => Err(io::ErrorKind::IsADirectory.into()),
    }
}

fn read_text(file: fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(LARGEST_DOCKERFILE + 1).read_to_end(&mut bytes)?;
    text_of(bytes).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// Some bytes as the text of a Dockerfile, or why they are none.
pub(super) fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > LARGEST_DOCKERFILE {
        return Err(format!("it has more than {LARGEST_DOCKERFILE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "stream did not contain valid UTF-8".to_owned())
}

fn other(error: impl std::error::Error) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("in")).expect("made");
        fs::write(folder.path().join("secret"), "FROM outside\n").expect("written");
        folder
    }

    fn inside(folder: &tempfile::TempDir, wanted: Option<&str>) -> Result<DockerfileSource, SpecError> {
        read_inside(&folder.path().join("in"), wanted.map(Path::new), "https://h/a.git#:")
    }

    #[test]
    fn a_dockerfile_in_lower_case_serves_where_the_other_is_missing() {
        let folder = folder();
        let path = folder.path().join("in");
        assert!(read_local(&path.join("Dockerfile")).is_err());
        fs::write(path.join("dockerfile"), "FROM lower\n").expect("written");
        fs::write(path.join("dockerfile.dockerignore"), "a\n").expect("written");
        let found = read_local(&path.join("Dockerfile")).expect("found");
        assert_eq!((found.text.as_str(), found.ignore.as_deref()), ("FROM lower\n", Some("a\n")));
        let found = inside(&folder, None).expect("found");
        assert_eq!((found.text.as_str(), found.ignore.as_deref()), ("FROM lower\n", Some("a\n")));
        assert_eq!(found.name, "https://h/a.git#:dockerfile");
        fs::write(path.join("Dockerfile"), "FROM upper\n").expect("written");
        assert_eq!(read_local(&path.join("Dockerfile")).expect("found").text, "FROM upper\n");
        assert!(read_local(&path.join("Other")).is_err());
    }

    #[test]
    fn a_symbolic_link_in_a_fetched_context_leads_to_nothing_outside() {
        let folder = folder();
        let path = folder.path().join("in");
        for target in ["../secret", "/etc/passwd"] {
            symlink(target, path.join("Dockerfile")).expect("linked");
            let error = inside(&folder, None).expect_err("outside").to_string();
            assert!(error.contains("no Dockerfile at https://h/a.git#:Dockerfile"), "{error}");
            fs::remove_file(path.join("Dockerfile")).expect("removed");
        }
        fs::create_dir(path.join("b[1]")).expect("made");
        fs::write(path.join("b[1]/real"), "FROM inside\n").expect("written");
        symlink("b[1]/real", path.join("Dockerfile")).expect("linked");
        assert_eq!(inside(&folder, None).expect("inside").text, "FROM inside\n");
        for wanted in ["b[1]/real", "/b[1]/real", "./b[1]/../../b[1]/real"] {
            assert_eq!(inside(&folder, Some(wanted)).expect(wanted).text, "FROM inside\n");
        }
        assert!(inside(&folder, Some("b[1]")).expect_err("a folder").to_string().contains("cannot read"));
    }
}

//! The `.dockerignore` of a context that nobody vouches for.

use std::io::{self, Read as _};

use super::{
    disk::Context,
    entry::Kind,
    ignore::LARGEST_IGNORE,
    select::{SelectError, select},
};
use crate::error::with_sources;

/// The file's name.
const NAME: &str = ".dockerignore";

/// The text of the `.dockerignore` in a context, or of its beginning where it is too long for [`Ignore::parse`]; `None`
/// where there is none. A symbolic link leads to nothing outside, and what is no file is not waited for.
pub(crate) fn read_ignore(context: &Context) -> io::Result<Option<Vec<u8>>> {
    let selected = match select(context, NAME.as_bytes()) {
        Ok(selected) => selected,
        Err(SelectError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(other(error)),
    };
    let Some(selected) = selected.into_iter().next() else { return Ok(None) };
    let Some((_, entry)) = context.look(&selected.path).map_err(other)? else { return Ok(None) };
    if entry.kind != Kind::File {
        return Err(io::Error::other("it is no file"));
    }
    let file = context.reader().open(&entry).map_err(other)?;
    let mut text = Vec::new();
    file.take(LARGEST_IGNORE as u64 + 1).read_to_end(&mut text)?;
    Ok(Some(text))
}

fn other(error: impl std::error::Error) -> io::Error {
    io::Error::other(with_sources(&error))
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::context::Ignore;

    #[test]
    fn it_is_read_from_inside_and_never_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (context, file) = (folder.path().join("in"), folder.path().join("in/.dockerignore"));
        fs::create_dir(&context).expect("made");
        let read = || read_ignore(&Context::open(&context, Ignore::default()).expect("a context"));
        assert_eq!(read().expect("none"), None);
        fs::write(folder.path().join("outside"), "secret").expect("written");
        fs::write(context.join("shared"), "*.log").expect("written");
        symlink("/shared", &file).expect("linked");
        assert_eq!(read().expect("read").as_deref(), Some(&b"*.log"[..]));
        for target in ["../outside", "/dev/zero"] {
            fs::remove_file(&file).expect("removed");
            symlink(target, &file).expect("linked");
            assert_eq!(read().expect("none of the context"), None, "{target}");
        }
        fs::remove_file(&file).expect("removed");
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert!(read().expect_err("a pipe").to_string().contains("no file"));
        fs::remove_file(&file).expect("removed");
        // A file of 100 GB takes no longer to refuse than a small one.
        fs::File::create(&file).and_then(|file| file.set_len(100 << 30)).expect("a hole");
        let text = read().expect("read").expect("there");
        assert_eq!(text.len(), LARGEST_IGNORE + 1);
        assert!(Ignore::parse(&text).expect_err("too large").to_string().contains("bytes"));
    }
}

//! Writing an archive where a person wants it: into a file as one step, straight into a pipe or a device.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use super::{error::OutputError, kind::Destination};
use crate::draft::Draft;

/// How much is written at once, in bytes.
const BUFFER: usize = 1 << 20;

/// Calls `fill` with what writes to the destination. A file appears under its name only when it is complete.
pub(super) fn write(
    to: &Destination,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let path = match to {
        Destination::Stdout => return into("standard output".as_ref(), io::stdout().lock(), fill),
        Destination::File(path) => path,
    };
    // A rename would put a file in the place of a device, or of a link such as /dev/stdout.
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            let out = fs::OpenOptions::new().write(true).open(path).map_err(OutputError::io(path))?;
            into(path, out, fill)
        }
        Ok(_) => replace(&path.canonicalize().unwrap_or_else(|_| path.clone()), fill),
        Err(_) => replace(path, fill),
    }
}

fn into(
    path: &Path,
    out: impl Write,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let mut out = io::BufWriter::with_capacity(BUFFER, Told { out, failure: None });
    let end = fill(&mut out).and_then(|()| out.flush().map_err(OutputError::io(path)));
    match out.get_mut().failure.take() {
        Some(failure) => Err(OutputError::io(path)(failure)),
        None => end,
    }
}

/// Keeps why it could not be written: what fills an archive does not know where it goes.
struct Told<W> {
    out: W,
    failure: Option<io::Error>,
}

impl<W: Write> Told<W> {
    fn told<T>(&mut self, end: io::Result<T>) -> io::Result<T> {
        end.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure.get_or_insert(error);
            }
            kind.into()
        })
    }
}

impl<W: Write> Write for Told<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.out.write(bytes);
        self.told(end)
    }

    fn flush(&mut self) -> io::Result<()> {
        let end = self.out.flush();
        self.told(end)
    }
}

fn replace(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), OutputError>,
) -> Result<(), OutputError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = Draft::new(folder).map_err(OutputError::io(path))?;
    let whole = draft.path().join("archive");
    let file = File::create_new(&whole).map_err(OutputError::io(path))?;
    into(path, &file, fill)?;
    file.sync_all().map_err(OutputError::io(path))?;
    fs::rename(&whole, path).map_err(OutputError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_complete_and_not_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        let to = Destination::File(path.clone());
        let fails = |out: &mut dyn Write| {
            out.write_all(&vec![0; 2 * BUFFER]).expect("written");
            Err(OutputError::Cancelled)
        };
        assert!(write(&to, fails).is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0, "something half-written stayed");
        write(&to, |out| out.write_all(b"whole").map_err(OutputError::io("a"))).expect("written");
        assert!(write(&to, fails).is_err());
        assert_eq!(fs::read(&path).expect("read"), b"whole");
    }
}

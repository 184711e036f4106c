//! The mark of a layer that is whole: which layers it rests on, and by its time when a step last used it.
//!
//! Folders of layers have the names of chains, from which nobody can tell which layers are below; so the mark says it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::api::LayerBelow;
use crate::whole_file::put_in_place;

/// The first line, with the number of the form. A mark of another form is none.
const HEAD: &str = "polyarch layer 2";

/// Says that a layer is whole, for good, and was used now.
pub(super) fn write(layer: &Path, below: &[LayerBelow]) -> io::Result<()> {
    let mut text = format!("{HEAD}\n");
    for name in below.iter().filter_map(|layer| layer.path.file_name()) {
        text.push_str(&name.to_string_lossy());
        text.push('\n');
    }
    let mut draft = tempfile::NamedTempFile::new_in(layer.parent().unwrap_or(Path::new(".")))?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().sync_all()?;
    put_in_place(draft, &path(layer))
}

/// The names of the folders below a layer, topmost first; `None` where it is not whole.
pub(super) fn read(layer: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path(layer)).ok()?;
    let mut lines = text.lines();
    (lines.next() == Some(HEAD)).then(|| lines.map(str::to_owned).collect())
}

/// Says that a step uses a layer now.
pub(super) fn touch(layer: &Path) -> io::Result<()> {
    File::options().write(true).open(path(layer))?.set_modified(SystemTime::now())
}

/// When a step last used a layer; at the beginning of time where that is not known.
pub(super) fn used(layer: &Path) -> SystemTime {
    fs::metadata(path(layer)).and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Says that a layer is not whole. That it never was is no error.
pub(super) fn remove(layer: &Path) -> io::Result<()> {
    match fs::remove_file(path(layer)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Where the mark of a layer is.
pub(super) fn path(layer: &Path) -> PathBuf {
    layer.with_extension("complete")
}

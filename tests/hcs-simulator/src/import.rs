//! From the form of an export to a layer.
//!
//! Source: hcsshim, `internal/wclayer/legacy.go`, for the form: `Files\x` is the attributes of a file and its backup
//! stream, `x.$wcidirs$` beside a directory is those of the directory, and `Hives` has ordinary files.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::windows::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
};

use windows_sys::Win32::Storage::FileSystem::{FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_NORMAL};

use crate::{
    failure::{Failure, INVALID_DATA, Outcome},
    sidecar,
    stream::{self, DATA, Record},
    tree,
    world::World,
};

const DIRECTORY_SUFFIX: &str = ".$wcidirs$";
/// The attributes that a file of a layer can be given: read-only, hidden, system and archive.
const KEPT: u32 = 0x27;

/// Puts what is in `staging` over the files that are in `layer` already.
pub(crate) fn import(world: &World, staging: &Path, layer: &Path) -> Outcome<()> {
    for needed in ["Files", "Hives"] {
        if !staging.join(needed).is_dir() {
            return Err(wrong(staging, &format!("the folder {needed} is missing")));
        }
    }
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        match entry.file_name().to_string_lossy().as_ref() {
            "Files" | "Hives" | "tombstones.txt" => {}
            name if [format!("Files{DIRECTORY_SUFFIX}"), format!("Hives{DIRECTORY_SUFFIX}")]
                .contains(&name.to_owned()) =>
            {
                parse(&entry.path(), true)?;
            }
            _ => return Err(wrong(&entry.path(), "nothing of this name belongs there")),
        }
    }
    for name in tombstones(&staging.join("tombstones.txt"))? {
        tree::remove(&layer.join("Files").join(name))?;
    }
    files(world, &staging.join("Files"), &layer.join("Files"))?;
    fs::create_dir_all(layer.join("Hives"))?;
    for entry in fs::read_dir(staging.join("Hives"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            return Err(wrong(&entry.path(), "hives are files"));
        }
        fs::copy(entry.path(), layer.join("Hives").join(entry.file_name()))?;
    }
    Ok(())
}

fn files(world: &World, staging: &Path, layer: &Path) -> Outcome<()> {
    let mut folders = vec![(staging.to_path_buf(), layer.to_path_buf())];
    while let Some((from, to)) = folders.pop() {
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let (from, to) = (entry.path(), to.join(&name));
            let directory = entry.file_type()?.is_dir();
            if let Some(of) = name.strip_suffix(DIRECTORY_SUFFIX).filter(|_| !directory) {
                if !from.with_file_name(of).is_dir() {
                    return Err(wrong(&from, "the directory that it describes is missing"));
                }
                continue;
            }
            let description = if directory {
                let mut description = from.clone().into_os_string();
                description.push(DIRECTORY_SUFFIX);
                PathBuf::from(description)
            } else {
                from.clone()
            };
            let (attributes, records) = parse(&description, directory)?;
            if fs::symlink_metadata(&to).is_ok_and(|there| there.is_dir() != directory) || !directory {
                tree::remove(&to)?;
            }
            let (data, beside): (Vec<Record>, Vec<Record>) =
                records.into_iter().partition(|record| record.kind == DATA);
            if directory {
                fs::create_dir_all(&to)?;
                folders.push((from, to.clone()));
            } else {
                let attributes = match attributes & KEPT {
                    0 => FILE_ATTRIBUTE_NORMAL,
                    kept => kept,
                };
                let mut file =
                    OpenOptions::new().write(true).create_new(true).attributes(attributes).open(&to)?;
                for record in data {
                    file.write_all(&record.content)?;
                }
            }
            sidecar::save(&world.root, &to, beside)?;
        }
    }
    Ok(())
}

/// Reads the attributes and the backup stream of a file in a staging folder.
fn parse(path: &Path, directory: bool) -> Outcome<(u32, Vec<Record>)> {
    let bytes = fs::read(path).map_err(|error| wrong(path, &error.to_string()))?;
    let (attributes, rest) =
        bytes.split_first_chunk().ok_or_else(|| wrong(path, "there are no attributes"))?;
    let attributes = u32::from_le_bytes(*attributes);
    if (attributes & FILE_ATTRIBUTE_DIRECTORY != 0) != directory {
        return Err(wrong(path, "the attributes say otherwise whether it is a directory"));
    }
    let records = stream::read(rest).map_err(|failure| wrong(path, &failure.message))?;
    if directory && records.iter().any(|record| record.kind == DATA) {
        return Err(wrong(path, "a directory has no data"));
    }
    Ok((attributes, records))
}

/// The names in a list of what a layer removes.
fn tombstones(path: &Path) -> Outcome<Vec<String>> {
    let Ok(bytes) = fs::read(path) else {
        return Ok(Vec::new());
    };
    let text =
        bytes.strip_prefix(b"\xEF\xBB\xBF").ok_or_else(|| wrong(path, "the mark of UTF-8 is missing"))?;
    let text = std::str::from_utf8(text).map_err(|error| wrong(path, &error.to_string()))?;
    let mut lines = text.lines();
    if lines.next() != Some("Version 1.0") {
        return Err(wrong(path, "the version is missing"));
    }
    lines
        .map(|line| {
            let name = line.strip_prefix('\\').ok_or_else(|| wrong(path, "a name does not begin with \\"))?;
            let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
            if name.is_empty() || !plain {
                Err(wrong(path, "a name leads elsewhere"))
            } else {
                Ok(name.to_owned())
            }
        })
        .collect()
}

fn wrong(path: &Path, message: &str) -> Failure {
    Failure::new(INVALID_DATA, format!("{}: {message}", path.display()))
}

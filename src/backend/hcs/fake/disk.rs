//! Layers on the disk: what is taken from the form of an export, and what is written in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    changes::{Change, below_files, folded},
    codes::{INVALID_DATA, refused},
    files,
    world::Layer,
};
use crate::backend::hcs::api::{FileAttributes, HcsResult};

/// How the name of the file ends that says of a directory what files say themselves.
const STREAMS_OF_DIRECTORY: &str = ".$wcidirs$";

/// Refuses a base whose files were written without their rights.
pub(super) fn restored_below(call: &'static str, folder: &Path) -> HcsResult<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if files::is_own(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if !files::is_restored(&path) {
            return refused(call, INVALID_DATA, format!("{} has no rights", path.display()));
        }
        if path.is_dir() {
            restored_below(call, &path)?;
        }
    }
    Ok(())
}

/// Takes a folder in the form of an export into a layer.
pub(super) fn take(staging: &Path, layer: &Path, is_top: bool) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", staging.display());
    let said = |path: &Path| -> Result<(FileAttributes, Vec<u8>), String> {
        let bytes = fs::read(path).map_err(|_| format!("{} is not there", path.display()))?;
        let (number, streams) = bytes.split_first_chunk::<4>().ok_or("a file has no attributes")?;
        if !files::is_streams(streams) {
            return Err(format!("{} is no row of streams", path.display()));
        }
        Ok((
            FileAttributes { attributes: u32::from_le_bytes(*number), ..Default::default() },
            streams.to_vec(),
        ))
    };
    if is_top {
        fs::create_dir(layer).map_err(told)?;
    } else {
        let beside = format!("{}{STREAMS_OF_DIRECTORY}", staging.display());
        let (attributes, streams) = said(Path::new(&beside))?;
        if !attributes.is_directory() {
            return Err(format!("{beside} is of no directory"));
        }
        files::write(layer, &attributes, &mut streams.as_slice()).map_err(told)?;
    }
    for entry in fs::read_dir(staging).map_err(told)? {
        let entry = entry.map_err(told)?;
        let (path, to) = (entry.path(), layer.join(entry.file_name()));
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(directory) = name.strip_suffix(STREAMS_OF_DIRECTORY) {
            if !staging.join(directory).is_dir() {
                return Err(format!("{name} is of no directory"));
            }
        } else if path.is_dir() {
            take(&path, &to, false)?;
        } else {
            let (attributes, streams) = said(&path)?;
            if attributes.is_directory() {
                return Err(format!("{name} has the attributes of a directory"));
            }
            files::write(&to, &attributes, &mut streams.as_slice()).map_err(told)?;
        }
    }
    Ok(())
}

/// Takes what changes in the registry, whose files have their rights in the folder already.
pub(super) fn take_hives(staging: &Path, layer: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", staging.display());
    if !staging.exists() {
        return Ok(());
    }
    fs::create_dir(layer).map_err(told)?;
    for entry in fs::read_dir(staging).map_err(told)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).map_err(told)?;
        if path.is_dir() {
            take_hives(&path, &layer.join(name))?;
        } else if files::is_restored(&path) {
            fs::copy(&path, layer.join(name)).map_err(told)?;
        } else {
            return Err(format!("{} has no rights", path.display()));
        }
    }
    Ok(())
}

/// Holds the place of each file of the layers below that a layer does not have itself. Where that is removed, the file
/// is deleted.
pub(super) fn hold_places(below: &Path, layer: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(below)? {
        let entry = entry?;
        let name = entry.file_name();
        if files::is_own(&name.to_string_lossy()) {
            continue;
        }
        let own = find_name(layer, &name.to_string_lossy());
        let place = own.clone().unwrap_or_else(|| layer.join(&name));
        if entry.path().is_dir() {
            if own.is_none() {
                fs::create_dir(&place)?;
            }
            if place.is_dir() {
                hold_places(&entry.path(), &place)?;
            }
        } else if own.is_none() {
            files::hold(&place, &entry.path())?;
        }
    }
    Ok(())
}

/// What is called so in a folder, in any spelling.
pub(super) fn find_name(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    let found = entries.find(|entry| folded(&entry.file_name().to_string_lossy()) == folded(name));
    found.map(|entry| entry.path())
}

/// Writes what was changed in a scratch.
pub(super) fn write_export(layer: &Layer, staging: &Path) -> std::io::Result<()> {
    fs::create_dir(staging)?;
    for part in ["Files", "Hives"] {
        fs::create_dir(staging.join(part))?;
    }
    let directory = |path: &Path| -> std::io::Result<()> {
        fs::create_dir_all(path)?;
        fs::write(format!("{}{STREAMS_OF_DIRECTORY}", path.display()), 16_u32.to_le_bytes())
    };
    let mut deleted = Vec::new();
    for change in layer.changes.values() {
        match change {
            Change::Registry { name, content } => {
                let attributes = FileAttributes { attributes: 32, ..Default::default() };
                let stream = files::data(content);
                files::write(&staging.join("Hives").join(name), &attributes, &mut stream.as_slice())?;
            }
            Change::Deleted { name } => deleted.push(name.clone()),
            Change::Directory { name } => directory(&below_files(name).below(staging))?,
            Change::File { name, content } => {
                // Windows exports the directories above what has changed.
                let mut above = below_files(name).parent();
                while let Some(path) = above.filter(|path| path.parent().is_some()) {
                    directory(&path.below(staging))?;
                    above = path.parent();
                }
                let mut bytes = 32_u32.to_le_bytes().to_vec();
                bytes.extend(files::data(content));
                fs::write(below_files(name).below(staging), bytes)?;
            }
        }
    }
    if !deleted.is_empty() {
        let lines: Vec<String> =
            deleted.iter().map(|name| format!("\\{}\n", name.replace('/', "\\"))).collect();
        fs::write(staging.join("tombstones.txt"), format!("\u{feff}Version 1.0\n{}", lines.concat()))?;
    }
    Ok(())
}

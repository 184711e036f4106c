//! What a process sees of its container: where it works, which program it is, and its environment.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use crate::{
    failure::{Failure, Outcome},
    text::wide,
};

/// What every process has in its environment, because nothing of Windows works without it.
const INHERITED: [&str; 9] = [
    "COMSPEC",
    "NUMBER_OF_PROCESSORS",
    "OS",
    "PATH",
    "PATHEXT",
    "SYSTEMDRIVE",
    "SYSTEMROOT",
    "TEMP",
    "WINDIR",
];

/// Where in the volume a process works.
pub(crate) fn folder(volume: &Path, inside: &str) -> Outcome<PathBuf> {
    let folder = if inside.is_empty() { volume.to_path_buf() } else { below(volume, inside) };
    if folder.is_dir() {
        return Ok(folder);
    }
    // ERROR_DIRECTORY.
    Err(Failure::new(0x8007_010B, format!("{inside} is no directory of the container")))
}

/// The program of the volume that a command line begins with, if it names one by its path.
pub(crate) fn program(volume: &Path, command_line: &str) -> Option<PathBuf> {
    let inside = first_word(command_line);
    let absolute = inside.get(..3).is_some_and(|drive| drive.eq_ignore_ascii_case(r"C:\"));
    Some(below(volume, inside)).filter(|path| absolute && path.is_file())
}

fn below(volume: &Path, inside: &str) -> PathBuf {
    let inside = inside.replace('/', r"\");
    let relative = inside
        .get(..2)
        .filter(|drive| drive.eq_ignore_ascii_case("C:"))
        .map_or(inside.as_str(), |_| &inside[2..]);
    volume.join(relative.trim_start_matches('\\'))
}

fn first_word(command_line: &str) -> &str {
    let line = command_line.trim_start();
    match line.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or_default(),
        None => line.split(' ').next().unwrap_or_default(),
    }
}

/// An environment block: what is given over what every process has.
pub(crate) fn environment(given: &BTreeMap<String, String>) -> Vec<u16> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?)));
    let mut all: BTreeMap<String, (String, String)> =
        inherited.map(|(name, value)| (name.clone(), (name, value))).collect();
    for (name, value) in given {
        all.insert(name.to_uppercase(), (name.clone(), value.clone()));
    }
    let mut block: Vec<u16> =
        all.values().flat_map(|(name, value)| wide(&format!("{name}={value}"))).collect();
    block.push(0);
    block
}

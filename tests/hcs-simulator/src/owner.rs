//! Which process has what: each holds a locked file for as long as it lives, whatever ends it.

use std::{
    fs::{self, File},
    path::Path,
    process,
    sync::OnceLock,
};

use crate::failure::Outcome;

static OWN: OnceLock<(String, File)> = OnceLock::new();

/// The name of this process in this state.
pub(crate) fn own(root: &Path) -> Outcome<String> {
    if let Some((name, _)) = OWN.get() {
        return Ok(name.clone());
    }
    let folder = root.join("owners");
    fs::create_dir_all(&folder)?;
    // Called with the state locked, so no other thread comes in between, and no number is used twice at once.
    let mut number = 0;
    let (name, file) = loop {
        let name = format!("{}-{number}", process::id());
        match File::create_new(folder.join(&name)) {
            Ok(file) => break (name, file),
            Err(_) if number < 1000 => number += 1,
            Err(error) => return Err(error.into()),
        }
    };
    file.lock()?;
    Ok(OWN.get_or_init(|| (name, file)).0.clone())
}

/// Whether the process of this name lives.
pub(crate) fn is_alive(root: &Path, name: &str) -> bool {
    if OWN.get().is_some_and(|(own, _)| own == name) {
        return true;
    }
    File::open(root.join("owners").join(name)).is_ok_and(|file| file.try_lock().is_err())
}

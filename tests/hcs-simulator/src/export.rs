//! What a scratch changes, in the form that an import reads.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use crate::{
    failure::Outcome,
    sidecar,
    stream::{DATA, Record, SECURITY},
    tree::{self, Stamps},
};

/// The hives that every export has.
const HIVES: [&str; 5] =
    ["DefaultUser_Delta", "Sam_Delta", "Security_Delta", "Software_Delta", "System_Delta"];

/// Writes into `staging` how `volume` differs from what was in it.
pub(crate) fn export(state: &Path, volume: &Path, before: &Stamps, staging: &Path) -> Outcome<()> {
    let after = tree::stamps(volume)?;
    let files = staging.join("Files");
    fs::create_dir_all(&files)?;
    fs::create_dir(staging.join("Hives"))?;
    for hive in HIVES {
        fs::write(staging.join("Hives").join(hive), hive)?;
    }

    let mut changed = BTreeSet::new();
    for (path, stamp) in &after {
        if before.get(path) != Some(stamp) {
            let mut rest = path.as_str();
            while changed.insert(rest.to_owned()) {
                let Some((parent, _)) = rest.rsplit_once('\\') else { break };
                rest = parent;
            }
        }
    }
    for path in &changed {
        let of = volume.join(path);
        let directory = after.get(path).is_some_and(|stamp| stamp.directory);
        let mut bytes = attributes(&of)?.to_le_bytes().to_vec();
        let beside = sidecar::load(state, &of);
        if !beside.iter().any(|record| record.kind == SECURITY) {
            Record::descriptor().write(&mut bytes);
        }
        for record in &beside {
            record.write(&mut bytes);
        }
        if directory {
            fs::create_dir(files.join(path))?;
            fs::write(files.join(format!("{path}.$wcidirs$")), bytes)?;
        } else {
            Record::new(DATA, fs::read(&of)?).write(&mut bytes);
            fs::write(files.join(path), bytes)?;
        }
    }

    let gone: BTreeSet<&String> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let mut tombstones = "\u{FEFF}Version 1.0\r\n".to_owned();
    for path in &gone {
        // Whoever removes a folder has removed what is in it.
        let with_parent = path.rsplit_once('\\').is_some_and(|(parent, _)| gone.contains(&parent.to_owned()));
        if !with_parent {
            let _ = write!(tombstones, "\\{path}\r\n");
        }
    }
    fs::write(staging.join("tombstones.txt"), tombstones)?;
    Ok(())
}

fn attributes(path: &Path) -> Outcome<u32> {
    use std::os::windows::fs::MetadataExt as _;
    Ok(fs::symlink_metadata(path)?.file_attributes())
}

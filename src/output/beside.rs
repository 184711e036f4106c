//! Statements about root file systems, as files beside what is in them.
//!
//! Source: BuildKit, `exporter/local/fs.go` (`CreateFS`).

use std::io;

use polyarch_actors::BuiltImage;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    contents::Contents,
    error::OutputError,
    rootfs::RootFs,
    write::{Roots, folder_of},
};
use crate::{
    attest::Statement,
    oci::{Store, StoreError},
};

/// The permissions of such a file.
pub(super) const MODE: u32 = 0o600;

/// A file that says something about the others.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The files that say what `statements` do about every file of a root file system, that of the image with this number.
pub(super) fn files(
    store: &Store,
    root: &RootFs,
    roots: &Roots<'_>,
    number: usize,
    images: &[BuiltImage],
    cancel: &CancellationToken,
) -> Result<Vec<Beside>, OutputError> {
    let statements = roots.statements.get(number).map(Vec::as_slice).unwrap_or_default();
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    let subjects = subjects(store, root, cancel)?;
    let is_alone = roots.split || roots.statements.len() == 1;
    let file = |statement: &Statement| -> Result<Beside, StoreError> {
        let name = statement.file_name();
        let name = match name.strip_suffix(".json").filter(|_| !is_alone) {
            Some(stem) => format!("{stem}.{}.json", folder_of(&images[number], images)),
            None => name.to_owned(),
        };
        Ok(Beside { name, bytes: statement.about(&subjects)? })
    };
    Ok(statements.iter().map(file).collect::<Result<_, _>>()?)
}

/// Every file by its path and digest, in the order of the paths.
fn subjects(store: &Store, root: &RootFs, cancel: &CancellationToken) -> Result<Value, OutputError> {
    let mut found = std::collections::BTreeMap::new();
    let contents = Contents::of(root);
    contents.each(store, cancel, |path, _, bytes| {
        let mut hash = Hashing(Sha256::new());
        io::copy(bytes, &mut hash).map_err(|source| OutputError::Io {
            path: String::from_utf8_lossy(path).into_owned().into(),
            source,
        })?;
        found.insert(path, hash.hex());
        Ok(())
    })?;
    for (path, first) in contents.hard_links() {
        if let Some(hex) = found.get(first).cloned() {
            found.insert(path, hex);
        }
    }
    let subject = |(path, hex): (&[u8], String)| json!({"name": String::from_utf8_lossy(path), "digest": {"sha256": hex}});
    Ok(found.into_iter().map(subject).collect())
}

struct Hashing(Sha256);

impl Hashing {
    fn hex(self) -> String {
        polyarch_actors::Digest::from_sha256(&self.0.finalize().into()).hex().to_owned()
    }
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

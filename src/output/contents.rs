//! The bytes of the files of a root file system, layer by layer.

use std::{collections::BTreeMap, io::Read};

use tokio_util::sync::CancellationToken;

use super::{
    error::OutputError,
    rootfs::{Entry, Kind, RootFs, Source},
};
use crate::{
    archive::{Archive, decompress},
    oci::Store,
};

/// The files of a root file system: each once, with all its paths.
#[derive(Debug)]
pub(super) struct Contents<'r> {
    root: &'r RootFs,
    /// The paths of each file, the first of which is the one that others are hard links to.
    files: BTreeMap<Source, Vec<&'r [u8]>>,
}

impl<'r> Contents<'r> {
    pub(super) fn of(root: &'r RootFs) -> Self {
        let mut files: BTreeMap<Source, Vec<&[u8]>> = BTreeMap::new();
        for (path, entry) in &root.entries {
            if let Kind::File { source, .. } = entry.kind {
                files.entry(source).or_default().push(path);
            }
        }
        Self { root, files }
    }

    /// Every further path of a file, and its first.
    pub(super) fn hard_links(&self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        self.files.values().flat_map(|paths| {
            let first = paths.first().copied().unwrap_or_default();
            paths.iter().skip(1).map(move |path| (*path, first))
        })
    }

    /// Gives every file with its bytes, in the order of the layers. What `take` leaves of them is skipped.
    pub(super) fn each(
        &self,
        store: &Store,
        cancel: &CancellationToken,
        mut take: impl FnMut(&'r [u8], &'r Entry, &mut dyn Read) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        for (number, layer) in self.root.layers.iter().enumerate() {
            let first = Source { layer: number, member: 0 };
            let next = Source { layer: number + 1, member: 0 };
            let mut wanted = self.files.range(first..next).peekable();
            if wanted.peek().is_none() {
                continue;
            }
            let odd = |error: std::io::Error| OutputError::layer(layer, error);
            let mut archive = Archive::new(decompress(store.open_blob(layer)?).map_err(odd)?);
            let mut count = 0;
            while let (Some((source, paths)), Some(_)) = (wanted.peek(), archive.next_member().map_err(odd)?)
            {
                if cancel.is_cancelled() {
                    return Err(OutputError::Cancelled);
                }
                if source.member == count {
                    let path = paths.first().copied().unwrap_or_default();
                    if let Some(entry) = self.root.entries.get(path) {
                        take(path, entry, &mut archive)?;
                    }
                    wanted.next();
                }
                count += 1;
            }
        }
        Ok(())
    }
}

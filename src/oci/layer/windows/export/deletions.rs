//! What a step has deleted.

use super::{
    super::{
        path::LayerPath,
        tombstones::{TOMBSTONES, read_tombstones},
    },
    error::ExportError,
    layer::{Export, FILES, SKIPPED},
};
use crate::session::{LayerRecord, RecordKind};

impl Export<'_> {
    /// The paths, sorted.
    pub(super) fn tombstones(&mut self) -> Result<Vec<LayerPath>, ExportError> {
        let path = LayerPath::parse(TOMBSTONES.as_bytes())?;
        let failed = |source| ExportError::Read { path: TOMBSTONES.to_owned(), source };
        let file = self.source.open(&path).map_err(failed)?;
        let mut deletions = read_tombstones(file, &SKIPPED)?;
        deletions.sort_unstable();
        deletions.dedup();
        Ok(deletions)
    }

    /// Appends deletions. What is there again needs none.
    pub(super) fn delete(&mut self, deletions: Vec<LayerPath>) -> Result<(), ExportError> {
        for path in deletions {
            let full = LayerPath::parse(format!("{FILES}/{}", path.as_str()).as_bytes())?;
            match self.seen.get(&full.folded()) {
                Some(true) => return Err(ExportError::MadeAgain(full)),
                Some(false) => continue,
                None => {}
            }
            let path = path.as_str().as_bytes().to_vec();
            self.writer.whiteout(&path)?;
            let (kind, xattrs) = (RecordKind::Whiteout, Vec::new());
            self.records.push(LayerRecord { path, kind, mode: 0, uid: 0, gid: 0, mtime: 0, xattrs });
        }
        Ok(())
    }
}

//! Names of files, of which Windows ignores the case.

use std::{collections::HashMap, sync::Arc};

use super::fold;
use crate::context::RelPath;

/// How names are written, by their folded paths: two spellings of one path are one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spellings(Arc<HashMap<Vec<u8>, Vec<u8>>>);

impl Spellings {
    /// A path as its names are written where they are known in another spelling.
    pub(crate) fn spelled(&self, path: &RelPath) -> RelPath {
        let (mut spelled, mut folded) = (RelPath::root(), Vec::new());
        for name in path.components() {
            folded.push(b'/');
            folded.extend(fold(name));
            spelled = spelled.child(self.0.get(&folded).map_or(name, Vec::as_slice));
        }
        spelled
    }

    /// Remembers how the names of a path are written that are not known yet. Returns how many bytes that takes.
    pub(crate) fn learn(&mut self, path: &RelPath) -> usize {
        let (mut folded, mut taken) = (Vec::new(), 0);
        for name in path.components() {
            folded.push(b'/');
            folded.extend(fold(name));
            if !self.0.contains_key(&folded) {
                taken += folded.len() + name.len();
                Arc::make_mut(&mut self.0).insert(folded.clone(), name.to_vec());
            }
        }
        taken
    }
}

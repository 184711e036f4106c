//! Which directories the members of an archive are in.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::{BuildHasher as _, Hasher as _},
};

use crate::context::RelPath;

/// The directories that members were in so far, each by a number that nobody outside can foresee.
#[derive(Debug, Default)]
pub(super) struct Directories {
    known: HashSet<u64>,
    numbers: RandomState,
    /// That of the last member: its neighbours are in the same.
    last: RelPath,
}

impl Directories {
    /// Notes the directories above `path`, and says how many of them are new.
    pub(super) fn enter(&mut self, path: &RelPath) -> usize {
        let Some((parent, _)) = path.split() else { return 0 };
        if parent == self.last {
            return 0;
        }
        let before = self.known.len();
        let mut hasher = self.numbers.build_hasher();
        for name in parent.components() {
            hasher.write(name);
            hasher.write_u8(b'/');
            self.known.insert(hasher.finish());
        }
        self.last = parent;
        self.known.len() - before
    }
}

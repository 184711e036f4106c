//! Paths in a layer that can be files on Windows.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{fold, unfit};

/// How the name of the file ends that says what the directory of the same name has, in the form of an export.
pub(super) const DIRECTORY_STREAMS: &str = ".$wcidirs$";

/// A path in a layer that Windows can have: nothing in it leads out, and no name in it means another file, a device or
/// a stream. Names are compared without regard to case by [`LayerPath::folded`] alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerPath(String);

/// Why a path cannot be in a layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} cannot be on Windows: {reason}")]
pub struct UnfitPath {
    /// The path, as far as it is text.
    pub path: String,
    /// What is wrong with a name in it.
    pub reason: &'static str,
}

impl LayerPath {
    /// Reads names that are separated by `/`, without one at either end.
    pub fn parse(path: &[u8]) -> Result<Self, UnfitPath> {
        let refused = |reason| UnfitPath { path: String::from_utf8_lossy(path).into_owned(), reason };
        if let Some(reason) = path.split(|byte| *byte == b'/').find_map(unfit) {
            return Err(refused(reason));
        }
        String::from_utf8(path.to_vec()).map(Self).map_err(|_| refused("it is no UTF-8"))
    }

    /// This and one name below it.
    pub fn child(&self, name: &str) -> Result<Self, UnfitPath> {
        Self::parse(format!("{}/{name}", self.0).as_bytes())
    }

    /// The names, separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names, topmost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// What holds it; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// Where it is below `root`, in the way of the system that this runs on.
    pub fn below(&self, root: &Path) -> PathBuf {
        let mut path = root.to_owned();
        path.extend(self.components());
        path
    }

    /// What is the same for all spellings of a path.
    pub fn folded(&self) -> Vec<u8> {
        fold(self.0.as_bytes())
    }

    /// The file that says what a directory has in the form of an export.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }
}

/// As Windows writes it.
impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('/', "\\"))
    }
}

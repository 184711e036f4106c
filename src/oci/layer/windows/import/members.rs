//! What has been said of the paths of a layer so far, and what may still be.

use std::collections::HashMap;

use super::{
    super::path::{DIRECTORY_STREAMS, LayerPath, UnfitPath},
    error::ImportError,
    sink::Form,
};

/// The parts of a layer, as they are written everywhere.
const FILES: &str = "Files";
const HIVES: &str = "Hives";
const UTILITY_VM: &str = "UtilityVM";

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Directory,
    /// A symbolic link or a mount point.
    Reparse,
    File,
    Hardlink,
}

/// A part of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Files,
    Hives,
    UtilityVm,
}

/// The paths of a layer.
#[derive(Debug)]
pub(super) struct Members {
    form: Form,
    known: HashMap<Vec<u8>, Known>,
}

impl Members {
    pub(super) fn new(form: Form) -> Self {
        Self { form, known: HashMap::new() }
    }

    /// Takes what is at a path.
    pub(super) fn enter(&mut self, path: &LayerPath, known: Known) -> Result<(), ImportError> {
        self.check_parent(path)?;
        if self.known.insert(path.folded(), known).is_some() {
            return Err(ImportError::Twice(path.clone()));
        }
        Ok(())
    }

    pub(super) fn at(&self, path: &LayerPath) -> Option<Known> {
        self.known.get(&path.folded()).copied()
    }

    /// Refuses a path that no directory of this layer holds.
    pub(super) fn check_parent(&self, path: &LayerPath) -> Result<(), ImportError> {
        let mut above = path.parent();
        while let Some(parent) = above {
            match self.at(&parent) {
                Some(Known::Directory) => return Ok(()),
                Some(_) => return Err(ImportError::NotInDirectory { path: path.clone(), parent }),
                // It may be a directory of the layer below.
                None if self.is_cloned(&parent) => above = parent.parent(),
                None => return Err(ImportError::NoParent(path.clone())),
            }
        }
        Ok(())
    }

    /// Refuses a path behind something that this layer has and that is no directory.
    pub(super) fn check_above(&self, path: &LayerPath) -> Result<(), ImportError> {
        let mut above = path.parent();
        while let Some(parent) = above {
            if self.at(&parent).is_some_and(|known| known != Known::Directory) {
                return Err(ImportError::NotInDirectory { path: path.clone(), parent });
            }
            above = parent.parent();
        }
        Ok(())
    }

    fn is_cloned(&self, path: &LayerPath) -> bool {
        self.form == Form::Diff && part_of(path) == Some(Part::UtilityVm)
    }
}

/// A path as a layer has it, and its part; the names of parts are taken in any spelling.
pub(super) fn placed(path: &[u8]) -> Result<(LayerPath, Part), ImportError> {
    let path = LayerPath::parse(path)?;
    if path.components().any(|name| name.to_ascii_lowercase().ends_with(DIRECTORY_STREAMS)) {
        let reason = "names of this kind say in an export what directories have";
        return Err(UnfitPath { path: path.as_str().to_owned(), reason }.into());
    }
    let mut names: Vec<&str> = path.components().collect();
    let spelled = [FILES, HIVES, UTILITY_VM].into_iter().find(|part| part.eq_ignore_ascii_case(names[0]));
    if let Some(part) = spelled {
        names[0] = part;
    }
    if names[0] == UTILITY_VM && names.get(1).is_some_and(|name| name.eq_ignore_ascii_case(FILES)) {
        names[1] = FILES;
    }
    let path = LayerPath::parse(names.join("/").as_bytes())?;
    part_of(&path).map(|part| (path.clone(), part)).ok_or(ImportError::Outside(path))
}

/// Whether a path is a part as a whole.
pub(super) fn is_top(path: &LayerPath) -> bool {
    path.parent().is_none() || path.as_str() == "UtilityVM/Files"
}

/// Whether a path is that of the utility VM.
pub(super) fn is_utility_vm(path: &LayerPath) -> bool {
    path.as_str() == UTILITY_VM
}

fn part_of(path: &LayerPath) -> Option<Part> {
    let mut names = path.components();
    match (names.next()?, names.next()) {
        (FILES, _) => Some(Part::Files),
        (HIVES, _) => Some(Part::Hives),
        (UTILITY_VM, None | Some(FILES)) => Some(Part::UtilityVm),
        _ => None,
    }
}

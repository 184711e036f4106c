//! Puts what an archive holds where Windows wants it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::utility_vm;
use crate::{
    backend::hcs::{
        api::{FileAttributes, HcsApi, LayerBelow},
        error::HcsError,
    },
    oci::layer::windows::{
        import::{ImportSink, Place},
        path::LayerPath,
    },
};

/// Makes files with the rights of a backup.
pub(super) struct Sink<'s, A: ?Sized> {
    api: &'s A,
    layer: &'s Path,
    staging: &'s Path,
    below: &'s [LayerBelow],
    /// What Windows said, which an I/O error has no place for.
    pub(super) failed: Option<HcsError>,
}

impl<'s, A: HcsApi + ?Sized> Sink<'s, A> {
    pub(super) fn new(api: &'s A, layer: &'s Path, staging: &'s Path, below: &'s [LayerBelow]) -> Self {
        Self { api, layer, staging, below, failed: None }
    }

    fn at(&self, place: Place, path: &LayerPath) -> PathBuf {
        path.below(match place {
            Place::Staging => self.staging,
            Place::Layer => self.layer,
        })
    }

    fn said(&mut self, error: HcsError) -> io::Error {
        let told = io::Error::other(error.to_string());
        self.failed = Some(error);
        told
    }
}

impl<A: HcsApi + ?Sized> ImportSink for Sink<'_, A> {
    fn restore(
        &mut self,
        place: Place,
        path: &LayerPath,
        attributes: &FileAttributes,
        stream: &mut dyn Read,
    ) -> io::Result<()> {
        let path = self.at(place, path);
        if place == Place::Layer && !attributes.is_directory() && !self.below.is_empty() {
            // It was cloned as another name of the file of the layer below, which stays as it is.
            remove_if_there(&path)?;
        }
        self.api.write_backup(&path, attributes, stream).map_err(|error| self.said(error))
    }

    fn directory(&mut self, path: &LayerPath) -> io::Result<()> {
        fs::create_dir(self.at(Place::Staging, path))
    }

    fn plain(&mut self, path: &LayerPath, times: &FileAttributes, content: &mut dyn Read) -> io::Result<()> {
        let path = self.at(Place::Staging, path);
        let mut file = File::create_new(&path)?;
        io::copy(content, &mut file)?;
        drop(file);
        let times = FileAttributes { attributes: 0, ..*times };
        self.api.set_attributes(&path, &times).map_err(|error| self.said(error))
    }

    fn clone_utility_vm(&mut self) -> io::Result<()> {
        let Some(below) = self.below.first() else { return Ok(()) };
        fs::create_dir_all(self.layer)?;
        utility_vm::clone(self.api, &below.path, self.layer).map_err(|error| match error {
            utility_vm::CloneError::Call(error) => self.said(error),
            utility_vm::CloneError::Io(error) => error,
        })
    }
}

/// Removes a file, or a directory with all that is in it, if it is there.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => crate::removal::remove_folder(path),
        // A link that Windows takes for a directory goes as one.
        Ok(_) => fs::remove_file(path).or_else(|error| fs::remove_dir(path).map_err(|_| error)),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

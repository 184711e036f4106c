//! Reads the folder that Windows has exported.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    backend::hcs::{api::HcsApi, error::HcsError},
    oci::layer::windows::{
        export::{ExportSource, ReadSeek, SourceEntry},
        path::LayerPath,
    },
};

/// A folder, read with the rights of a backup.
pub(super) struct Source<'s, A: ?Sized> {
    api: &'s A,
    folder: &'s Path,
    /// What Windows said, which an I/O error has no place for.
    pub(super) failed: Option<HcsError>,
}

impl<'s, A: HcsApi + ?Sized> Source<'s, A> {
    pub(super) fn new(api: &'s A, folder: &'s Path) -> Self {
        Self { api, folder, failed: None }
    }

    fn at(&self, path: Option<&LayerPath>) -> PathBuf {
        path.map_or_else(|| self.folder.to_owned(), |path| path.below(self.folder))
    }

    fn said(&mut self, error: HcsError) -> io::Error {
        let told = io::Error::other(error.to_string());
        self.failed = Some(error);
        told
    }
}

impl<A: HcsApi + ?Sized> ExportSource for Source<'_, A> {
    fn list(&mut self, directory: Option<&LayerPath>) -> io::Result<Vec<SourceEntry>> {
        let folder = self.at(directory);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            let is_directory = entry.file_type()?.is_dir();
            let (attributes, _) = self.api.read_backup(&path).map_err(|error| self.said(error))?;
            let identity = self.api.identity(&path).map_err(|error| self.said(error))?;
            let (file_id, links) = (identity.id, identity.names);
            entries.push(SourceEntry { name, is_directory, attributes, file_id, links });
        }
        Ok(entries)
    }

    fn open(&mut self, path: &LayerPath) -> io::Result<Box<dyn ReadSeek + Send>> {
        Ok(Box::new(File::open(self.at(Some(path)))?))
    }

    fn open_backup(&mut self, path: &LayerPath) -> io::Result<Box<dyn Read + Send>> {
        let path = self.at(Some(path));
        self.api.read_backup(&path).map(|(_, stream)| stream).map_err(|error| self.said(error))
    }
}

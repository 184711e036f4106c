//! Whoever reads the folder that `ExportLayer` has written.

use std::{
    ffi::OsString,
    io::{self, Read, Seek},
};

use super::super::{attributes::FileAttributes, path::LayerPath};

/// An ordinary file.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEntry {
    /// Its name.
    pub name: OsString,
    /// Whether it is a directory as it stands there, and no link to one.
    pub is_directory: bool,
    /// What the folder says of it. Of files below `Files`, only the times count.
    pub attributes: FileAttributes,
    /// What is the same for all names of a file (`FILE_ID_INFO`). It counts only where there are several.
    pub file_id: u128,
    /// How many names the file has.
    pub links: u32,
}

/// Whoever reads the folder that `ExportLayer` has written. Every method blocks.
pub trait ExportSource {
    /// What is in a directory, in any order; `None` is the folder itself.
    fn list(&mut self, directory: Option<&LayerPath>) -> io::Result<Vec<SourceEntry>>;

    /// Opens an ordinary file.
    fn open(&mut self, path: &LayerPath) -> io::Result<Box<dyn ReadSeek + Send>>;

    /// Opens a file or directory through `BackupRead`, without its security descriptor. It is opened twice.
    fn open_backup(&mut self, path: &LayerPath) -> io::Result<Box<dyn Read + Send>>;
}

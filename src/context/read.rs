//! What the files of a context hold.

use std::fs::File;

use super::{
    disk::{Context, ContextError},
    entry::Entry,
    path::RelPath,
};
use crate::folder::{self, Folder, name_of};

/// An extended attribute: its name with the prefix (`security.capability`), and its value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Opens files of a context. Those of one directory cost one look-up each.
#[derive(Debug)]
pub struct Reader<'c> {
    context: &'c Context,
    folder: Option<(RelPath, Folder)>,
}

impl Context {
    /// Opens files of this context.
    pub fn reader(&self) -> Reader<'_> {
        Reader { context: self, folder: None }
    }
}

impl Reader<'_> {
    /// Opens a file that a walk found. Whatever took its place meanwhile is an error.
    pub fn open(&mut self, entry: &Entry) -> Result<File, ContextError> {
        let context = self.context;
        let (parent, name) = entry.path.split().ok_or_else(|| context.changed(&entry.path))?;
        let folder = match self.folder.take() {
            Some(folder) if folder.0 == parent => folder,
            _ => {
                let handle = context.open_directory(&parent)?.ok_or_else(|| context.vanished(&entry.path))?;
                (parent, handle)
            }
        };
        let opened = folder.1.file(&name_of(name));
        let file = opened.map_err(|refused| context.fault("open", &entry.path, refused))?;
        self.folder = Some(folder);
        self.check(entry, &file)?;
        Ok(file)
    }

    /// Whether an open file is still what a walk found: worth asking when it has been read.
    ///
    /// Its permissions and the number of its names may change.
    pub fn check(&self, entry: &Entry, file: &File) -> Result<(), ContextError> {
        let mut stamp =
            folder::stamp(file).map_err(|refused| self.context.fault("look at", &entry.path, refused))?;
        stamp.changed = entry.stamp.changed;
        if stamp == entry.stamp { Ok(()) } else { Err(self.context.changed(&entry.path)) }
    }

    /// The extended attributes of an open file, sorted by name. None where the file system has none.
    pub fn xattrs(&self, entry: &Entry, file: &File) -> Result<Vec<Xattr>, ContextError> {
        let fault = |refused| self.context.fault("read the extended attributes of", &entry.path, refused);
        let mut xattrs = folder::xattrs(file).map_err(fault)?;
        xattrs.sort_unstable();
        Ok(xattrs)
    }
}

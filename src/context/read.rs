//! What the files of a context hold.

use std::{
    ffi::CStr,
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, fgetxattr, flistxattr, openat},
    io::Errno,
};

use super::{
    disk::{Context, ContextError, name_of},
    entry::Entry,
    path::RelPath,
};

/// An extended attribute: its name with the prefix (`security.capability`), and its value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Opens files of a context. Those of one directory cost one look-up each.
#[derive(Debug)]
pub struct Reader<'c> {
    context: &'c Context,
    folder: Option<(RelPath, OwnedFd)>,
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
        // A pipe that took the file's place must not block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat(&folder.1, &*name_of(name), flags, Mode::empty());
        let file = File::from(opened.map_err(|errno| context.fault("open", &entry.path, errno))?);
        self.folder = Some(folder);
        self.check(entry, &file)?;
        Ok(file)
    }

    /// Whether an open file is still what a walk found: worth asking when it has been read.
    ///
    /// Its permissions and the number of its names may change.
    pub fn check(&self, entry: &Entry, file: &File) -> Result<(), ContextError> {
        let mut stamp = self.context.stamp(file.as_fd(), &entry.path)?;
        stamp.changed = entry.stamp.changed;
        if stamp == entry.stamp { Ok(()) } else { Err(self.context.changed(&entry.path)) }
    }

    /// The extended attributes of an open file, sorted by name. None where the file system has none.
    pub fn xattrs(&self, entry: &Entry, file: &File) -> Result<Vec<Xattr>, ContextError> {
        let fault = |errno| self.context.fault("read the extended attributes of", &entry.path, errno);
        let mut names = vec![0_u8; 1024];
        let length = loop {
            match flistxattr(file, &mut names) {
                Ok(length) => break length,
                Err(Errno::NOTSUP) => return Ok(Vec::new()),
                Err(Errno::RANGE) if names.len() < LARGEST_XATTRS => names.resize(names.len() * 4, 0),
                Err(errno) => return Err(fault(errno)),
            }
        };
        let mut xattrs = Vec::new();
        for name in names[..length].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
            let mut value = vec![0_u8; 256];
            let length = loop {
                match fgetxattr(file, name, &mut value) {
                    Ok(length) => break Some(length),
                    // It was removed, or this user may not read it.
                    Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => break None,
                    Err(Errno::RANGE) if value.len() < LARGEST_XATTRS => value.resize(value.len() * 4, 0),
                    Err(errno) => return Err(fault(errno)),
                }
            };
            if let Some(length) = length {
                value.truncate(length);
                xattrs.push((name.to_bytes().to_vec(), value));
            }
        }
        xattrs.sort_unstable();
        Ok(xattrs)
    }
}

/// Linux takes names and values of up to 64 KiB; other systems have no limit.
const LARGEST_XATTRS: usize = 1 << 20;

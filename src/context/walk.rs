//! Walking a context: everything in it that counts, in an order that never varies.

use std::{io, vec::IntoIter};

use super::{
    disk::{Context, ContextError},
    entry::{Entry, Kind},
    ignore::Within,
    path::RelPath,
};
use crate::folder::{Folder as Handle, Name, name_of};

/// The longest path, as long as Linux takes one: a deeper tree is made to do harm.
const LONGEST_PATH: usize = 4096;

impl Context {
    /// What is at `path` and everything below: a directory before what is in it, names sorted by bytes.
    ///
    /// Ignored entries are left out, but for directories that hold something that is not, as fsutil
    /// (`filter.go`) sends them. Sockets are left out too: no archive holds them. `None` when nothing is left at
    /// all. The root is never ignored.
    pub fn walk(&self, path: &RelPath) -> Result<Option<Vec<Entry>>, ContextError> {
        let Some((parent, entry)) = self.look(path)? else { return Ok(None) };
        let mut walk = Walk { context: self, entries: Vec::new(), ignored: Vec::new() };
        let mut open = Vec::new();
        if let Some((above, name)) = path.split() {
            open.extend(walk.take(&parent, &name_of(name), entry, &self.within(&above))?);
        } else {
            open.push(walk.open(parent, entry.path.clone(), self.within(path), false)?);
            walk.entries.push(entry);
        }
        while let Some(mut folder) = open.pop() {
            let inner = walk.step(&mut folder)?;
            open.extend(inner.goes_on.then_some(folder));
            open.extend(inner.folder);
        }
        Ok((!walk.entries.is_empty()).then_some(walk.entries))
    }
}

struct Walk<'c> {
    context: &'c Context,
    entries: Vec<Entry>,
    /// Ignored directories on the way to here, which count as soon as something in them does.
    ignored: Vec<Entry>,
}

/// A directory that the walk is in.
struct Folder<'c> {
    handle: Handle,
    path: RelPath,
    names: IntoIter<Name>,
    within: Within<'c>,
    ignored: bool,
}

/// One step in a directory.
struct Step<'c> {
    goes_on: bool,
    /// A directory in it, to be walked before it goes on.
    folder: Option<Folder<'c>>,
}

impl<'c> Walk<'c> {
    fn step(&mut self, folder: &mut Folder<'c>) -> Result<Step<'c>, ContextError> {
        let Some(name) = folder.names.next() else {
            // Had it held anything that counts, it would not be among these any more.
            self.ignored.pop_if(|last| folder.ignored && last.path == folder.path);
            return Ok(Step { goes_on: false, folder: None });
        };
        let path = folder.path.child(name.to_bytes());
        if path.as_bytes().len() > LONGEST_PATH {
            return Err(self.context.io("enter", &path, io::ErrorKind::InvalidFilename.into()));
        }
        let entry = self.context.entry(&folder.handle, &name, path)?;
        let inner = match entry {
            Some(entry) => self.take(&folder.handle, &name, entry, &folder.within)?,
            None => None,
        };
        Ok(Step { goes_on: true, folder: inner })
    }

    /// Takes an entry if it counts, and opens it if it is a directory that may hold something that does.
    fn take(
        &mut self,
        parent: &Handle,
        name: &Name,
        entry: Entry,
        within: &Within<'c>,
    ) -> Result<Option<Folder<'c>>, ContextError> {
        let ignored = within.ignores(&entry.path);
        if entry.kind != Kind::Directory {
            if !ignored {
                self.entries.append(&mut self.ignored);
                self.entries.push(entry);
            }
            return Ok(None);
        }
        let inside = within.enter(&entry.path);
        if inside.ignores_all_below(&entry.path) {
            return Ok(None);
        }
        let handle = self.context.enter(parent, name, &entry)?;
        let folder = self.open(handle, entry.path.clone(), inside, ignored)?;
        self.ignored.push(entry);
        if !ignored {
            self.entries.append(&mut self.ignored);
        }
        Ok(Some(folder))
    }

    fn open(
        &self,
        handle: Handle,
        path: RelPath,
        within: Within<'c>,
        ignored: bool,
    ) -> Result<Folder<'c>, ContextError> {
        let names = self.context.list(&handle, &path)?.into_iter();
        Ok(Folder { handle, path, names, within, ignored })
    }
}

#[cfg(all(test, unix))]
#[path = "walk_tests.rs"]
mod tests;

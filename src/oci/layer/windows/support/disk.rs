//! A disk in memory, which refuses what Windows would refuse.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read},
};

use super::super::{
    attributes::{DIRECTORY, FileAttributes},
    export::{ExportSource, ReadSeek, SourceEntry},
    import::{ImportSink, Imported, Place},
    path::LayerPath,
    tombstones::write_tombstones,
};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Node {
    Directory,
    Plain { times: FileAttributes, content: Vec<u8> },
    Restored { attributes: FileAttributes, streams: Vec<u8> },
}

/// The two folders of an import, and what is done after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(in super::super) nodes: BTreeMap<(Place, LayerPath), Node>,
    pub(in super::super) has_clone: bool,
    pub(in super::super) done: Imported,
}

impl Disk {
    fn put(&mut self, place: Place, path: &LayerPath, node: Node) -> io::Result<()> {
        let folded = path.folded();
        if self.nodes.keys().any(|(other, known)| *other == place && known.folded() == folded) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Some(parent) = path.parent() {
            let above = self
                .nodes
                .iter()
                .find(|((other, known), _)| *other == place && known.folded() == parent.folded());
            let is_cloned =
                self.has_clone && place == Place::Layer && parent.as_str().starts_with("UtilityVM");
            let is_directory = match above {
                None => is_cloned,
                Some((_, Node::Directory)) => true,
                Some((_, Node::Plain { .. })) => false,
                // Nothing is below a reparse point; its stream is the first here that may follow.
                Some((_, Node::Restored { attributes, .. })) => attributes.attributes & 0x410 == DIRECTORY,
            };
            if !is_directory {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        self.nodes.insert((place, path.clone()), node);
        Ok(())
    }

    /// A file that was exported.
    fn exported(&self, path: &LayerPath) -> io::Result<&Node> {
        let target = self.done.links.iter().find(|link| link.path == *path).map(|link| &link.target);
        let node = self.nodes.get(&(Place::Staging, target.unwrap_or(path).clone()));
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn all(stream: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl ImportSink for Disk {
    fn restore(
        &mut self,
        place: Place,
        path: &LayerPath,
        attributes: &FileAttributes,
        stream: &mut dyn Read,
    ) -> io::Result<()> {
        let streams = all(stream)?;
        self.put(place, path, Node::Restored { attributes: *attributes, streams })
    }

    fn directory(&mut self, path: &LayerPath) -> io::Result<()> {
        self.put(Place::Staging, path, Node::Directory)
    }

    fn plain(&mut self, path: &LayerPath, times: &FileAttributes, content: &mut dyn Read) -> io::Result<()> {
        assert_eq!(times.attributes, 0);
        let content = all(content)?;
        self.put(Place::Staging, path, Node::Plain { times: *times, content })
    }

    fn clone_utility_vm(&mut self) -> io::Result<()> {
        assert!(!self.has_clone, "once");
        self.has_clone = true;
        Ok(())
    }
}

/// As if `ImportLayer` and `ExportLayer` had been called one after the other.
impl ExportSource for Disk {
    fn list(&mut self, directory: Option<&LayerPath>) -> io::Result<Vec<SourceEntry>> {
        let names =
            self.nodes.keys().map(|(_, path)| path).chain(self.done.links.iter().map(|link| &link.path));
        let mut entries = Vec::new();
        for path in names.filter(|path| path.parent().as_ref() == directory) {
            let (is_directory, mut attributes) = match self.exported(path)? {
                Node::Directory => {
                    (true, FileAttributes { attributes: DIRECTORY, ..FileAttributes::default() })
                }
                Node::Plain { times, .. } => (false, *times),
                Node::Restored { attributes, .. } => {
                    (false, FileAttributes { attributes: 32, ..*attributes })
                }
            };
            attributes.changed = 1;
            let link = self.done.links.iter().find(|link| link.path == *path || link.target == *path);
            let id = link.and_then(|link| self.nodes.keys().position(|(_, known)| *known == link.target));
            let name = path.components().last().unwrap_or_default().into();
            let links = if link.is_some() { 2 } else { 1 };
            let file_id = id.map_or(0, |id| id as u128);
            entries.push(SourceEntry { name, is_directory, attributes, file_id, links });
        }
        if directory.is_none() {
            let (name, attributes) = ("tombstones.txt".into(), FileAttributes::default());
            entries.push(SourceEntry { name, is_directory: false, attributes, file_id: 0, links: 1 });
        }
        // Nobody promises an order.
        entries.reverse();
        Ok(entries)
    }

    fn open(&mut self, path: &LayerPath) -> io::Result<Box<dyn ReadSeek + Send>> {
        if path.as_str() == "tombstones.txt" {
            let below = self.done.deletions.iter().map(|path| path.as_str().trim_start_matches("Files/"));
            let paths: Vec<LayerPath> =
                below.map(|path| LayerPath::parse(path.as_bytes()).expect("a path")).collect();
            let mut file = Vec::new();
            write_tombstones(&paths, &mut file)?;
            return Ok(Box::new(Cursor::new(file)));
        }
        match self.exported(path)? {
            Node::Plain { content, .. } => Ok(Box::new(Cursor::new(content.clone()))),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn open_backup(&mut self, path: &LayerPath) -> io::Result<Box<dyn Read + Send>> {
        match self.exported(path)? {
            Node::Directory => Ok(Box::new(io::empty())),
            Node::Restored { streams, .. } => Ok(Box::new(Cursor::new(streams.clone()))),
            Node::Plain { .. } => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

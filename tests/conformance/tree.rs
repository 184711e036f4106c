//! The files of an image: its layers laid over each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

use polyarch::archive::{Archive, Member, MemberKind};

/// A file system by path. Names of one file have one number.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) names: BTreeMap<Vec<u8>, usize>,
    pub(super) files: Vec<Node>,
}

/// A file, without its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) modified: i64,
}

/// What a file is, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Fifo,
    Device { block: bool, major: u32, minor: u32 },
}

impl Tree {
    /// Lays a layer over what is there. Source: OCI image specification, `layer.md`.
    pub(super) fn apply(&mut self, mut layer: Archive<impl Read>) -> io::Result<()> {
        let mut new = BTreeSet::new();
        while let Some(member) = layer.next_member()? {
            let path = member.path.as_bytes().to_vec();
            let split = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            let (parent, name) = (&path[..split], &path[split..]);
            if name == b".wh..wh..opq" {
                self.remove_below(parent, &new);
            } else if let Some(name) = name.strip_prefix(b".wh.") {
                self.remove(&[parent, name].concat());
            } else {
                let mut content = Vec::new();
                layer.read_to_end(&mut content)?;
                self.put(&path, member, content)?;
                new.insert(path);
            }
        }
        Ok(())
    }

    fn put(&mut self, path: &[u8], member: Member, content: Vec<u8>) -> io::Result<()> {
        let kind = match member.kind {
            MemberKind::Hardlink(target) => {
                let file = self.names.get(target.as_bytes()).copied();
                let file = file.ok_or_else(|| io::Error::other(format!("no {target} to link to")))?;
                self.remove(path);
                self.names.insert(path.to_vec(), file);
                return Ok(());
            }
            MemberKind::File => Kind::File(content),
            MemberKind::Directory => Kind::Directory,
            MemberKind::Symlink(target) => Kind::Symlink(target),
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::CharDevice { major, minor } => Kind::Device { block: false, major, minor },
            MemberKind::BlockDevice { major, minor } => Kind::Device { block: true, major, minor },
        };
        let is_folder = |file: &usize| self.files[*file].kind == Kind::Directory;
        if kind != Kind::Directory || !self.names.get(path).is_some_and(is_folder) {
            self.remove(path);
        }
        let Member { mode, uid, gid, mut xattrs, modified, .. } = member;
        xattrs.sort();
        self.names.insert(path.to_vec(), self.files.len());
        self.files.push(Node { kind, mode, owner: (uid, gid), xattrs, modified });
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        self.names.remove(path);
        self.remove_below(&[path, b"/"].concat(), &BTreeSet::new());
    }

    fn remove_below(&mut self, folder: &[u8], except: &BTreeSet<Vec<u8>>) {
        self.names.retain(|path, _| !path.starts_with(folder) || except.contains(path));
    }

    /// The file of this name.
    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.names.get(path).map(|file| &self.files[*file])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(members: &[(&str, tar::EntryType)]) -> Archive<std::io::Cursor<Vec<u8>>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, kind) in members {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(0);
            header.set_mode(0o755);
            archive.append_data(&mut header, path, &[][..]).expect("appended");
        }
        Archive::new(std::io::Cursor::new(archive.into_inner().expect("an archive")))
    }

    fn names(layers: &[&[(&str, tar::EntryType)]]) -> Vec<String> {
        let mut tree = Tree::default();
        for members in layers {
            tree.apply(layer(members)).expect("applied");
        }
        tree.names.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    const FILE: tar::EntryType = tar::EntryType::Regular;
    const FOLDER: tar::EntryType = tar::EntryType::Directory;

    #[test]
    fn a_whiteout_removes_a_name_and_everything_below_it() {
        let below = [("d", FOLDER), ("d/a", FILE), ("dd", FILE), ("e", FILE)];
        assert_eq!(names(&[&below, &[(".wh.d", FILE)]]), ["dd", "e"]);
        assert_eq!(names(&[&below, &[("d/.wh.a", FILE)]]), ["d", "dd", "e"]);
    }

    #[test]
    fn an_opaque_folder_hides_what_is_below_and_not_what_is_beside() {
        let below = [("d", FOLDER), ("d/a", FILE), ("d/b", FILE)];
        let above = [("d", FOLDER), ("d/c", FILE), ("d/.wh..wh..opq", FILE)];
        assert_eq!(names(&[&below, &above]), ["d", "d/c"]);
    }

    #[test]
    fn a_file_in_place_of_a_folder_takes_its_content_away() {
        assert_eq!(names(&[&[("d", FOLDER), ("d/a", FILE)], &[("d", FILE)]]), ["d"]);
        assert_eq!(names(&[&[("d", FOLDER), ("d/a", FILE)], &[("d", FOLDER)]]), ["d", "d/a"]);
    }
}

//! Layers of Windows on their way to a disk.

use std::{
    collections::HashSet,
    io::{self, Read},
};

use polyarch::{
    archive::Limits,
    oci::layer::windows::{
        attributes::FileAttributes,
        backup::BackupReader,
        import::{Form, ImportSink, Imported, Place, import},
        path::LayerPath,
    },
};

use crate::archive::{from_script, with_checksums};

/// Puts the input on a disk in memory in three ways: as it is, with the checksums put right, and as a script of members.
pub fn check(data: &[u8]) {
    for archive in [data.to_vec(), with_checksums(data.to_vec()), from_script(data)] {
        for form in [Form::Base, Form::Diff] {
            let mut disk = Disk { form, made: HashSet::new(), has_clone: false };
            let limits = Limits { bytes: 1 << 20, ..Limits::default() };
            if let Ok(done) = import(&archive[..], form, &mut disk, limits, &Default::default()) {
                disk.check(&done);
            }
        }
    }
}

/// Refuses nothing, and panics where Windows would be asked for what must not be.
struct Disk {
    form: Form,
    made: HashSet<(Place, Vec<u8>)>,
    has_clone: bool,
}

impl Disk {
    fn make(&mut self, place: Place, path: &LayerPath) {
        assert_inside(path);
        assert!(self.made.insert((place, path.folded())), "{path} is made once");
        if let Some(parent) = path.parent() {
            let is_cloned = self.has_clone && parent.as_str().starts_with("UtilityVM");
            assert!(is_cloned || self.made.contains(&(place, parent.folded())), "{path} has a parent");
        }
    }

    fn check(&self, done: &Imported) {
        for path in &done.deletions {
            assert_inside(path);
            assert!(path.parent().is_some() && self.form == Form::Diff, "{path}");
        }
        for link in &done.links {
            assert_inside(&link.path);
            assert_inside(&link.target);
            assert!(link.is_in_layer || self.form == Form::Diff, "{}", link.path);
        }
        for (path, attributes) in &done.directories {
            assert_inside(path);
            assert!(attributes.is_directory(), "{path}");
        }
    }
}

fn assert_inside(path: &LayerPath) {
    let top = path.components().next().unwrap_or_default();
    let top = top.strip_suffix(".$wcidirs$").unwrap_or(top);
    assert!(["Files", "Hives", "UtilityVM"].contains(&top), "{path}");
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\\', '/', ':', '\0']);
    assert!(path.components().all(is_name), "{path}");
}

fn check_streams(mut stream: &mut dyn Read, has_attributes: bool) -> io::Result<()> {
    if has_attributes {
        stream.read_exact(&mut [0; 4])?;
    }
    let mut reader = BackupReader::new(&mut stream);
    // What cannot be read is the archive's fault, which the import tells.
    while reader.next_stream().map_err(io::Error::other)?.is_some() {}
    Ok(())
}

impl ImportSink for Disk {
    fn restore(
        &mut self,
        place: Place,
        path: &LayerPath,
        _: &FileAttributes,
        stream: &mut dyn Read,
    ) -> io::Result<()> {
        self.make(place, path);
        check_streams(stream, false)
    }

    fn directory(&mut self, path: &LayerPath) -> io::Result<()> {
        assert_eq!(self.form, Form::Diff);
        self.make(Place::Staging, path);
        Ok(())
    }

    fn plain(&mut self, path: &LayerPath, times: &FileAttributes, content: &mut dyn Read) -> io::Result<()> {
        assert_eq!((self.form, times.attributes), (Form::Diff, 0));
        self.make(Place::Staging, path);
        check_streams(content, true)
    }

    fn clone_utility_vm(&mut self) -> io::Result<()> {
        assert!(self.form == Form::Diff && !self.has_clone);
        self.has_clone = true;
        Ok(())
    }
}

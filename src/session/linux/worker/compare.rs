//! Whether two files are the same.
//!
//! Source: BuildKit's `util/overlay`, `sameDirent`.

use std::{
    ffi::OsStr,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use crate::oci::layer::is_kept;

/// Whether nothing that a layer tells is different. What files hold is compared if `thoroughly`, or where their times
/// say too little.
pub(super) fn is_same(
    one: (&Path, &Metadata),
    other: (&Path, &Metadata),
    thoroughly: bool,
) -> io::Result<bool> {
    let owner = |metadata: &Metadata| (metadata.mode(), metadata.uid(), metadata.gid(), metadata.rdev());
    if owner(one.1) != owner(other.1) || xattrs(one.0, one.1)? != xattrs(other.0, other.1)? {
        return Ok(false);
    }
    if one.1.is_dir() {
        return Ok(true);
    }
    let stamp = |metadata: &Metadata| (metadata.size(), metadata.mtime(), metadata.mtime_nsec());
    if stamp(one.1) != stamp(other.1) {
        return Ok(false);
    }
    if one.1.is_symlink() {
        return Ok(fs::read_link(one.0)? == fs::read_link(other.0)?);
    }
    // A time without a fraction comes from an archive, and says little.
    if !one.1.is_file() || (one.1.mtime_nsec() != 0 && !thoroughly) {
        return Ok(true);
    }
    same_content(one.0, other.0)
}

fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut first, mut second) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = fill(&mut one, &mut first)?;
        if read != fill(&mut other, &mut second)? || first[..read] != second[..read] {
            return Ok(false);
        }
        if read < first.len() {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The extended attributes that a layer keeps, sorted by name.
///
/// BuildKit keeps only `security.capability`; with `user.*` what an image holds does not depend on which machine
/// unpacked its layers.
pub(super) fn xattrs(path: &Path, metadata: &Metadata) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    use rustix::io::Errno;
    if !metadata.is_file() && !metadata.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = vec![0; 4 << 10];
    let length = loop {
        match rustix::fs::llistxattr(path, names.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) if names.len() < 64 << 10 => names.resize(64 << 10, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    };
    let mut xattrs = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        let mut value = vec![0; 64 << 10];
        match rustix::fs::lgetxattr(path, OsStr::from_bytes(name), value.as_mut_slice()) {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(error) => return Err(error.into()),
        }
        xattrs.push((name.to_vec(), value));
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}

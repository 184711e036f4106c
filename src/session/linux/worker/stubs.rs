//! Places for mounts, made where they are missing and removed afterwards.
//!
//! Source: BuildKit's `executor`, `MountStubsCleaner`.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
};

use nix::{
    fcntl::AT_FDCWD,
    sys::{
        stat::{UtimensatFlags, utimensat},
        time::TimeSpec,
    },
};

/// How many symbolic links one path may have.
///
/// Source: path_resolution(7).
const MOST_LINKS: usize = 40;

/// Makes places, in the root file system in which this process is.
#[derive(Debug)]
pub(super) struct Places {
    /// Where to note what was made in the layer, each path ended by a NUL.
    made: File,
    /// The device of the layer.
    device: u64,
}

impl Places {
    pub(super) fn new(made: File) -> io::Result<Self> {
        Ok(Self { made, device: fs::metadata("/")?.dev() })
    }

    /// Makes a directory or file at a path, with the directories above. Returns the path without symbolic links.
    pub(super) fn make(&mut self, path: &Path, directory: bool) -> io::Result<PathBuf> {
        let path = resolve(path)?;
        let mut missing: Vec<&Path> = Vec::new();
        let mut parent = path.as_path();
        while fs::symlink_metadata(parent).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            missing.push(parent);
            parent = parent.parent().unwrap_or(Path::new("/"));
        }
        for (depth, place) in missing.into_iter().enumerate().rev() {
            let parent = place.parent().unwrap_or(Path::new("/"));
            let before = fs::metadata(parent)?;
            if depth > 0 || directory {
                fs::DirBuilder::new().mode(0o755).create(place)?;
            } else {
                File::options().write(true).create_new(true).mode(0o644).open(place)?;
            }
            restore_times(parent, &before)?;
            if before.dev() == self.device {
                self.made.write_all(&[place.as_os_str().as_bytes(), b"\0"].concat())?;
            }
        }
        Ok(path)
    }
}

/// Removes the noted places, in the root file system in which this thread is, as far as a step left them empty.
pub(super) fn remove(made: &[u8]) -> io::Result<()> {
    let paths: Vec<&[u8]> = made.split(|byte| *byte == 0).filter(|path| !path.is_empty()).collect();
    for path in paths.into_iter().rev() {
        let path = Path::new(OsStr::from_bytes(path));
        let (Ok(there), Some(parent)) = (fs::symlink_metadata(path), path.parent()) else { continue };
        let before = fs::metadata(parent)?;
        let removed = if there.is_dir() {
            fs::remove_dir(path)
        } else if there.is_file() && there.size() == 0 {
            fs::remove_file(path)
        } else {
            continue;
        };
        if removed.is_ok() {
            restore_times(parent, &before)?;
        }
    }
    Ok(())
}

fn restore_times(folder: &Path, before: &Metadata) -> io::Result<()> {
    let accessed = TimeSpec::new(before.atime(), before.atime_nsec());
    let modified = TimeSpec::new(before.mtime(), before.mtime_nsec());
    Ok(utimensat(AT_FDCWD, folder, &accessed, &modified, UtimensatFlags::FollowSymlink)?)
}

/// A path without symbolic links, whether there is something at it or not.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut todo: Vec<OsString> = names(path);
    let mut done = PathBuf::from("/");
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&name);
        let Ok(target) = fs::read_link(&next) else {
            done = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(rustix::io::Errno::LOOP.into());
        }
        if target.is_absolute() {
            done = PathBuf::from("/");
        }
        todo.extend(names(&target));
    }
    Ok(done)
}

/// The components of a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

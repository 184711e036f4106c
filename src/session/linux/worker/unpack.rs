//! Unpacks a layer into the root file system in which this thread is.
//!
//! Source: OCI image specification, `layer.md`; containerd's `archive` package for what to do where that leaves a
//! choice.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read},
    ops::Bound,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt as _, OpenOptionsExt, PermissionsExt, lchown, symlink},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::AT_FDCWD,
    sys::{
        stat::{Mode, SFlag, UtimensatFlags, makedev, mknod, umask, utimensat},
        time::TimeSpec,
    },
};
use polyarch_actors::Digest;
use rustix::fs::XattrFlags;
use sha2::{Digest as _, Sha256};

use super::stubs::resolve;
use crate::{
    archive::{Archive, Limits, Member, MemberKind, Sparse, decompress_within},
    oci::layer::is_kept,
    removal::remove_folder,
};

/// How the names of deletions begin.
const WHITEOUT: &[u8] = b".wh.";
/// The rest of the name of the entry that hides everything below layers have in its directory.
const OPAQUE: &[u8] = b".wh..opq";

/// Unpacks a layer that holds no more than `limits` say. Returns the digest of its archive.
pub(super) fn unpack(blob: File, limits: Limits) -> io::Result<Digest> {
    umask(Mode::empty());
    let mut hashed = Hashed { source: decompress_within(blob, limits)?, hash: Sha256::new() };
    let mut unpacking = Unpacking::default();
    let mut archive = Archive::within(&mut hashed, limits);
    while let Some(member) = archive.next_member()? {
        let place = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("{}: {error}", String::from_utf8_lossy(member.path.as_bytes())),
            )
        };
        unpacking.put(&member, &mut archive).map_err(place)?;
    }
    // Putting things into a directory changes its time, so those come last, the deepest first.
    for (path, modified) in unpacking.directories.iter().rev() {
        set_time(path, *modified)?;
    }
    io::copy(&mut hashed, &mut io::sink())?;
    Ok(Digest::from_sha256(&hashed.hash.finalize().into()))
}

struct Hashed<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[derive(Default)]
struct Unpacking {
    /// The paths that this layer brought, which its own deletions spare.
    brought: BTreeSet<PathBuf>,
    directories: Vec<(PathBuf, i64)>,
}

impl Unpacking {
    fn put(&mut self, member: &Member, content: &mut impl Read) -> io::Result<()> {
        let path = Path::new("/").join(OsStr::from_bytes(member.path.as_bytes()));
        let Some((parent, name)) = member.path.split() else { return self.root(member) };
        let parent = Path::new("/").join(OsStr::from_bytes(parent.as_bytes()));
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.delete(&parent, hidden);
        }
        make_parents(&parent)?;
        let is_directory = member.kind == MemberKind::Directory;
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() && is_directory => {}
            Ok(there) if there.is_dir() => remove_folder(&path)?,
            Ok(_) => fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.brought.insert(path.clone());
        match &member.kind {
            MemberKind::File => return file(&path, member, content),
            MemberKind::Hardlink(target) => {
                return fs::hard_link(Path::new("/").join(OsStr::from_bytes(target.as_bytes())), &path);
            }
            MemberKind::Symlink(target) => {
                symlink(OsStr::from_bytes(target), &path)?;
                own(&path, member)?;
                return set_time(&path, member.modified);
            }
            MemberKind::Directory => {
                match fs::DirBuilder::new().mode(0o700).create(&path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
                self.directories.push((path.clone(), member.modified));
            }
            MemberKind::Fifo => {
                mknod(&path, SFlag::S_IFIFO, Mode::empty(), 0)?;
            }
            MemberKind::CharDevice { major, minor } => {
                // Such a device means a deletion to an overlay.
                if (*major, *minor) == (0, 0) || !device(&path, SFlag::S_IFCHR, *major, *minor)? {
                    return Ok(());
                }
            }
            MemberKind::BlockDevice { major, minor } => {
                if !device(&path, SFlag::S_IFBLK, *major, *minor)? {
                    return Ok(());
                }
            }
        }
        own(&path, member)?;
        fs::set_permissions(&path, Permissions::from_mode(member.mode))?;
        for (name, value) in kept(member) {
            allow_unsupported(rustix::fs::lsetxattr(&path, name, value, XattrFlags::empty()))?;
        }
        set_time(&path, member.modified)
    }

    /// What a layer says of the root itself.
    fn root(&mut self, member: &Member) -> io::Result<()> {
        if member.kind != MemberKind::Directory {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the root is no directory"));
        }
        let path = PathBuf::from("/");
        own(&path, member)?;
        fs::set_permissions(&path, Permissions::from_mode(member.mode))?;
        self.directories.push((path, member.modified));
        Ok(())
    }

    fn delete(&mut self, parent: &Path, hidden: &[u8]) -> io::Result<()> {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it deletes nothing that can be named"));
        }
        if hidden == OPAQUE {
            let entries = match fs::read_dir(parent) {
                Err(error) if is_absent(&error) => return Ok(()),
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                self.remove(&path)?;
            }
            return Ok(());
        }
        if hidden.starts_with(WHITEOUT) {
            // What aufs noted for itself.
            return Ok(());
        }
        self.remove(&parent.join(OsStr::from_bytes(hidden)))
    }

    /// Removes what layers below brought.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if is_absent(&error) => return Ok(()),
            metadata => metadata?,
        };
        if !metadata.is_dir() {
            return if self.brought.contains(path) { Ok(()) } else { fs::remove_file(path) };
        }
        // What is below a path comes right after it.
        let next = self.brought.range::<Path, _>((Bound::Included(path), Bound::Unbounded)).next();
        if !next.is_some_and(|brought| brought.starts_with(path)) {
            return remove_folder(path);
        }
        for entry in fs::read_dir(path)? {
            self.remove(&entry?.path())?;
        }
        Ok(())
    }
}

fn file(path: &Path, member: &Member, content: &mut impl Read) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut sparse = Sparse::new(&file);
    io::copy(content, &mut sparse)?;
    sparse.finish()?;
    own(path, member)?;
    // Another owner takes the setuid bit and the capabilities away.
    file.set_permissions(Permissions::from_mode(member.mode))?;
    for (name, value) in kept(member) {
        allow_unsupported(rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty()))?;
    }
    set_time(path, member.modified)
}

/// The extended attributes that mean something in an image.
fn kept(member: &Member) -> impl Iterator<Item = (&OsStr, &[u8])> {
    member
        .xattrs
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (OsStr::from_bytes(name), value.as_slice()))
}

/// File systems without extended attributes hold images as well.
fn allow_unsupported(set: rustix::io::Result<()>) -> io::Result<()> {
    match set {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) => Ok(()),
        set => Ok(set?),
    }
}

fn own(path: &Path, member: &Member) -> io::Result<()> {
    lchown(path, Some(member.uid), Some(member.gid)).map_err(|error| {
        if error.raw_os_error() == Some(Errno::EINVAL as i32) {
            let reason = format!(
                "it belongs to {}:{}, which the ranges of this user in /etc/subuid and /etc/subgid do not hold",
                member.uid, member.gid
            );
            return io::Error::new(error.kind(), reason);
        }
        error
    })
}

/// Makes a device. In a user namespace nobody can, and nothing in an image needs them: a step has its own `/dev`.
fn device(path: &Path, kind: SFlag, major: u32, minor: u32) -> io::Result<bool> {
    match mknod(path, kind, Mode::empty(), makedev(u64::from(major), u64::from(minor))) {
        Err(Errno::EPERM) => Ok(false),
        made => Ok(made.map(|()| true)?),
    }
}

fn make_parents(parent: &Path) -> io::Result<()> {
    let make = |folder: &Path| fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    match make(parent) {
        // A symbolic link leads to where nothing is yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => make(&resolve(parent)?),
        made => made,
    }
}

fn set_time(path: &Path, modified: i64) -> io::Result<()> {
    let time = TimeSpec::new(modified, 0);
    match utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink) {
        // A later entry has replaced it.
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
        set => Ok(set?),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

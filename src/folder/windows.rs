//! Directories as handles of Windows.
//!
//! Windows has no permissions, owners and extended attributes as Linux images have them. What is there instead is what
//! `docker build` says on Windows: everything belongs to root, everybody may read and execute it, and only its owner
//! writes it.

use std::{
    fs::File,
    io,
    path::{Component, Path, PathBuf},
};

use cap_fs_ext::{
    DirExt as _, FollowSymlinks, MetadataExt as _, OpenOptionsFollowExt as _, OpenOptionsMaybeDirExt as _,
};
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt as _},
};
use windows_sys::Win32::Storage::FileSystem::FILE_READ_ATTRIBUTES;

use super::{Refused, Seen};
use crate::{
    context::{Kind, Stamp, Time, Xattr},
    file_information::FileInformation,
};

/// The permissions of everything.
const MODE: u32 = 0o755;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(super) String);

impl Name {
    pub(crate) fn to_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// A name for the operating system. One that no file has, which the empty name stands for, finds nothing.
pub(crate) fn name_of(name: &[u8]) -> Name {
    let text = std::str::from_utf8(name).ok().filter(|text| !text.contains(['\\', '/', ':', '\0']));
    Name(text.unwrap_or_default().to_owned())
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Folder(pub(super) Dir);

impl Folder {
    /// The directory that a person named; only here may a link be followed.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self(Dir::open_ambient_dir(folder, ambient_authority())?))
    }

    /// The directory at an absolute path, of which no part may be a symbolic link. So it is where the path says, whatever
    /// somebody does to its parts meanwhile.
    pub(crate) fn open_exact(folder: &Path) -> io::Result<Self> {
        let mut parts = folder.components();
        let drive: PathBuf = parts
            .by_ref()
            .take_while(|part| *part != Component::RootDir)
            .chain([Component::RootDir])
            .collect();
        let mut found = Self::open(&drive)?;
        for part in parts {
            let Component::Normal(name) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
            found = found.directory(&name_of(name.as_encoded_bytes()))?;
        }
        Ok(found)
    }

    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    pub(crate) fn directory(&self, name: &Name) -> Result<Self, Refused> {
        match self.0.symlink_metadata(&name.0)? {
            there if there.is_dir() => Ok(Self(self.0.open_dir_nofollow(&name.0)?)),
            _ => Err(Refused::Replaced),
        }
    }

    pub(crate) fn file(&self, name: &Name) -> Result<File, Refused> {
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No);
        match self.0.symlink_metadata(&name.0)? {
            there if there.is_file() => Ok(self.0.open_with(&name.0, &options)?.into_std()),
            _ => Err(Refused::Replaced),
        }
    }

    pub(crate) fn stamp(&self) -> Result<Stamp, Refused> {
        stamp(&self.0.try_clone()?.into_std_file())
    }

    /// What is at a name; `None` for what is no file, directory or link.
    pub(crate) fn look(&self, name: &Name) -> Result<Option<Seen>, Refused> {
        // The empty path of this directory itself is no name in it.
        let path = if name.0.is_empty() { "." } else { &name.0 };
        let metadata = self.0.symlink_metadata(path)?;
        let seen = |kind, links, stamp| Seen { kind, mode: MODE, uid: 0, gid: 0, links, stamp };
        if metadata.is_symlink() {
            let target = self.0.read_link_contents(path)?;
            let target = target.to_string_lossy().replace('\\', "/").into_bytes();
            let modified = metadata.modified().map_or(Time { seconds: 0, nanoseconds: 0 }, |time| {
                let since = time.into_std().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
                Time { seconds, nanoseconds: since.subsec_nanos() }
            });
            let size = target.len() as u64;
            let (device, inode) = (metadata.dev(), metadata.ino());
            let stamp = Stamp { device, inode, size, modified, changed: modified };
            return Ok(Some(seen(Kind::Symlink { target }, 1, stamp)));
        }
        let kind = match () {
            () if metadata.is_dir() => Kind::Directory,
            () if metadata.is_file() => Kind::File,
            () => return Ok(None),
        };
        let mut options = OpenOptions::new();
        options.access_mode(FILE_READ_ATTRIBUTES).follow(FollowSymlinks::No).maybe_dir(true);
        let found = FileInformation::of(&self.0.open_with(path, &options)?.into_std())?;
        Ok(Some(seen(kind, found.links, stamp_of(&found))))
    }

    /// The names in it, in any order.
    pub(crate) fn names(&self) -> Result<Vec<Name>, Refused> {
        let mut names = Vec::new();
        for entry in self.0.entries()? {
            let name = entry?.file_name().into_string().map_err(|name| {
                let reason = format!("{} is not Unicode, and names in images are", name.display());
                Refused::Io(io::Error::new(io::ErrorKind::InvalidFilename, reason))
            })?;
            names.push(Name(name));
        }
        Ok(names)
    }
}

/// What an open file is known by.
pub(crate) fn stamp(file: &File) -> Result<Stamp, Refused> {
    Ok(stamp_of(&FileInformation::of(file)?))
}

/// There are none.
#[expect(clippy::unnecessary_wraps, reason = "it is the same everywhere")]
pub(crate) fn xattrs(_: &File) -> Result<Vec<Xattr>, Refused> {
    Ok(Vec::new())
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::NotADirectory => Self::Replaced,
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Self::InTheWay,
            _ => Self::Io(error),
        }
    }
}

fn stamp_of(found: &FileInformation) -> Stamp {
    let time = |ticks: i64| {
        let since = ticks - EPOCH;
        let nanoseconds = u32::try_from(since.rem_euclid(TICKS) * 100).unwrap_or_default();
        Time { seconds: since.div_euclid(TICKS), nanoseconds }
    };
    Stamp {
        device: found.volume,
        inode: found.index,
        size: found.size,
        modified: time(found.written),
        changed: time(found.changed),
    }
}

/// How many steps of 100 ns a second has.
const TICKS: i64 = 10_000_000;
/// 1970, in steps of 100 ns since 1601.
const EPOCH: i64 = 11_644_473_600 * TICKS;

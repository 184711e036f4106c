//! What a layer says of one path.

/// One path of a layer. Nothing here is taken from the file system: whoever makes it decides.
#[derive(Clone, Copy, Debug)]
pub struct LayerEntry<'e> {
    /// Where it goes, from the root of the image: components separated by `/`, without a slash at either end.
    pub name: &'e [u8],
    /// What it is.
    pub kind: EntryKind<'e>,
    /// Permissions, with the setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// When it was modified, in seconds since 1970. Layers keep no fractions.
    pub mtime: i64,
    /// Extended attributes by their full names (`security.capability`), sorted by name.
    pub xattrs: &'e [(Vec<u8>, Vec<u8>)],
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind<'e> {
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: &'e [u8],
    },
    /// Another name for a file that came earlier in this layer.
    HardLink {
        /// The name that the file has there.
        target: &'e [u8],
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// The kind of device.
        major: u32,
        /// Which one of them.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The kind of device.
        major: u32,
        /// Which one of them.
        minor: u32,
    },
}

/// What a layer says of every entry, whatever the entry itself says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The owner, as `--chown` gives it.
    pub uid: Option<u64>,
    /// The group.
    pub gid: Option<u64>,
    /// The permissions, as an octal `--chmod` gives them; symbolic links have none.
    pub mode: Option<u32>,
    /// The times.
    pub mtime: Mtime,
}

/// Which modification times a layer keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mtime {
    /// Each entry's own.
    #[default]
    Own,
    /// Each entry's own, but none later than this: what `rewrite-timestamp` does with `SOURCE_DATE_EPOCH`.
    AtMost(i64),
    /// The same for all: what COPY does with `SOURCE_DATE_EPOCH`.
    Exactly(i64),
}

impl Policy {
    /// What the layer says of `entry`.
    pub(super) fn apply<'e>(&self, mut entry: LayerEntry<'e>) -> LayerEntry<'e> {
        entry.uid = self.uid.unwrap_or(entry.uid);
        entry.gid = self.gid.unwrap_or(entry.gid);
        entry.mode = match entry.kind {
            EntryKind::Symlink { .. } => 0o777,
            _ => self.mode.unwrap_or(entry.mode) & 0o7777,
        };
        entry.mtime = match self.mtime {
            Mtime::Own => entry.mtime,
            Mtime::AtMost(latest) => entry.mtime.min(latest),
            Mtime::Exactly(time) => time,
        };
        entry
    }
}

/// Whether an extended attribute means something in an image. Those of overlays would let a layer hide or redirect
/// what is in others.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

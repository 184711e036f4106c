//! Reads tar archives that nobody vouches for: names are cleaned, and everything has a limit.
//!
//! Source: POSIX.1-2017, `pax`; GNU tar's long names.

use std::io::{self, Read};

use super::{
    directories::Directories,
    extension::Extension,
    header::{BLOCK, Header},
    limits::Limits,
};
use crate::context::{RelPath, Xattr};

/// The longest path, as long as Linux takes one.
const LONGEST_PATH: usize = 4096;
/// The deepest path: an index of paths takes a stack frame a level.
pub(crate) const DEEPEST: usize = 512;
/// What a member takes of memory beside its name.
const ENTRY: u64 = 64;
/// What a directory counts for that members are in, in bytes: on disk each takes several times as much, whether the
/// archive names it or not.
const DIRECTORY: u64 = 512;

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it goes; it cannot lead out of the root.
    pub path: RelPath,
    /// Whether its name would, as it is written: `../x`.
    pub leads_out: bool,
    /// What it is.
    pub kind: MemberKind,
    /// Permissions, with the setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was modified, in seconds since 1970, as layers keep it.
    pub modified: i64,
    /// How many nanoseconds later that was, as far as the archive says it; none before 1970.
    pub nanoseconds: u32,
    /// Its extended attributes.
    pub xattrs: Vec<Xattr>,
    /// What it says for Windows alone, by the names of the records.
    pub windows: Vec<Xattr>,
    /// Where its bytes begin in the uncompressed archive.
    pub offset: u64,
    /// How many there are.
    pub size: u64,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, and where it leads.
    Symlink(Vec<u8>),
    /// Another name of a member that came before, perhaps in a layer below.
    Hardlink(RelPath),
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

/// An archive that is being read. Between two members, it reads the bytes of the last one.
#[derive(Debug)]
pub struct Archive<R> {
    source: R,
    at: u64,
    /// The body of the member that was read last, as far as nobody has read it yet.
    body: u64,
    /// What fills up its last block. The last of an archive may lack it: umoci writes such layers.
    padding: u64,
    limits: Limits,
    members: usize,
    /// What the members take of memory, as [`Limits::names`] counts it.
    names: u64,
    directories: Directories,
}

impl<R: Read> Archive<R> {
    /// Reads the uncompressed archive `source`, with the usual limits.
    pub fn new(source: R) -> Self {
        Self::within(source, Limits::default())
    }

    /// Reads the uncompressed archive `source`, which may hold as much as `limits` say.
    pub fn within(source: R, limits: Limits) -> Self {
        let directories = Directories::default();
        Self { source, at: 0, body: 0, padding: 0, limits, members: 0, names: 0, directories }
    }

    /// The next member; `None` at the end. Everything behind the end is read too.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut extension = Extension::default();
        loop {
            self.skip()?;
            let Some(block) = self.block()? else { return Ok(None) };
            let header = Header::new(&block).ok_or_else(|| odd("a header has a wrong checksum"))?;
            let size = header.size().ok_or_else(|| odd("a length is no number"))?;
            self.members += 1;
            if self.members > self.limits.members {
                return Err(odd(&format!("it holds more than {} members", self.limits.members)));
            }
            if !Extension::is_one(header.kind()) {
                return self.member(&header, size, extension).map(Some);
            }
            extension.make_room(size)?;
            extension.take(header.kind(), self.text(size)?)?;
        }
    }

    fn member(&mut self, header: &Header<'_>, size: u64, extension: Extension) -> io::Result<Member> {
        let name = extension.path.unwrap_or_else(|| header.name());
        let path = clean(&name)?;
        let link = extension.link.unwrap_or_else(|| header.link());
        let (major, minor) = header.device();
        let kind = match header.kind() {
            b'0' | 0 | b'7' if name.ends_with(b"/") => MemberKind::Directory,
            b'0' | 0 | b'7' => MemberKind::File,
            b'1' => MemberKind::Hardlink(clean(&link)?),
            b'2' => MemberKind::Symlink(checked_target(link)?),
            b'3' => MemberKind::CharDevice { major, minor },
            b'4' => MemberKind::BlockDevice { major, minor },
            b'5' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            kind => return Err(odd(&format!("a member is of the unknown kind {:?}", char::from(kind)))),
        };
        // Only files have bytes; some programs give links the length of what they point at.
        let size = if kind == MemberKind::File { extension.size.unwrap_or(size) } else { 0 };
        if self.at.saturating_add(size) > self.limits.bytes {
            return Err(odd(&format!("it holds more than {} bytes", self.limits.bytes)));
        }
        self.count(&path, &kind, [&extension.xattrs, &extension.windows])?;
        (self.body, self.padding) = (size, padding(size));
        let id = |extended: Option<u64>, plain: Option<u64>| {
            let id = extended.or(plain).and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| odd("an owner is no number"))
        };
        let seconds = i64::try_from(header.modified()).unwrap_or(0);
        Ok(Member {
            path,
            leads_out: leads_out(&name),
            kind,
            mode: u32::try_from(header.mode().ok_or_else(|| odd("a mode is no number"))? & 0o7777)
                .unwrap_or(0),
            uid: id(extension.uid, header.uid())?,
            gid: id(extension.gid, header.gid())?,
            modified: extension.modified.unwrap_or(seconds),
            nanoseconds: extension.nanoseconds,
            xattrs: extension.xattrs,
            windows: extension.windows,
            offset: self.at,
            size,
        })
    }

    /// Counts what whoever lists the members has to remember.
    fn count(&mut self, path: &RelPath, kind: &MemberKind, xattrs: [&[Xattr]; 2]) -> io::Result<()> {
        let link = match kind {
            MemberKind::Symlink(target) => target.len(),
            MemberKind::Hardlink(target) => target.as_bytes().len(),
            _ => 0,
        };
        let xattrs: usize = xattrs.into_iter().flatten().map(|(name, value)| name.len() + value.len()).sum();
        let directories = self.directories.enter(path) as u64;
        self.names += DIRECTORY * directories + ENTRY + (path.as_bytes().len() + link + xattrs) as u64;
        if self.names > self.limits.names {
            return Err(odd("its names and attributes take more memory than those of any image"));
        }
        Ok(())
    }

    /// The body of an extension.
    fn text(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let read = self.source.by_ref().take(size).read_to_end(&mut text)? as u64;
        self.at += read;
        if read < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.padding = padding(size);
        Ok(text)
    }

    fn skip(&mut self) -> io::Result<()> {
        let body = std::mem::take(&mut self.body);
        let read = io::copy(&mut self.source.by_ref().take(body), &mut io::sink())?;
        if read < body {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let padding = std::mem::take(&mut self.padding);
        self.at += read + io::copy(&mut self.source.by_ref().take(padding), &mut io::sink())?;
        Ok(())
    }

    /// A header block. The end is a block of zeros or the end of the file.
    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        self.at += BLOCK as u64;
        if block.iter().any(|byte| *byte != 0) {
            return Ok(Some(block));
        }
        let most = self.limits.bytes;
        if io::copy(&mut self.source.by_ref().take(most), &mut io::sink())? == most {
            return Err(odd("it does not end"));
        }
        Ok(None)
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.body).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.source.read(&mut buffer[..length])?;
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.body -= read as u64;
        Ok(read)
    }
}

/// How many bytes fill up the last block of a body.
fn padding(size: u64) -> u64 {
    let block = BLOCK as u64;
    (block - size % block) % block
}

fn clean(name: &[u8]) -> io::Result<RelPath> {
    let path = RelPath::clean(name);
    let too_deep = path.components().nth(DEEPEST).is_some();
    if name.len() > LONGEST_PATH || too_deep || path.components().any(|part| part.len() > 255) {
        return Err(odd("a name is longer than any file system takes"));
    }
    if name.contains(&0) {
        return Err(odd("a name holds a NUL"));
    }
    Ok(path)
}

/// Whether a name climbs above where it begins.
fn leads_out(name: &[u8]) -> bool {
    let mut depth = 0_usize;
    name.split(|byte| *byte == b'/').any(|part| match part {
        b"" | b"." => false,
        b".." => depth.checked_sub(1).map(|less| depth = less).is_none(),
        _ => {
            depth += 1;
            false
        }
    })
}

fn checked_target(target: Vec<u8>) -> io::Result<Vec<u8>> {
    if target.len() > LONGEST_PATH || target.contains(&0) {
        return Err(odd("the target of a symbolic link is malformed"));
    }
    Ok(target)
}

pub(super) fn odd(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;

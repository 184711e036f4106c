//! A member of an archive, and its further streams behind it, as what `BackupWrite` takes.

use std::{
    collections::HashSet,
    io::{self, Read},
};

use tokio_util::sync::CancellationToken;

use super::{
    super::{backup::StreamHeader, fold, path::LayerPath},
    error::ImportError,
};
use crate::archive::{Archive, Member, MemberKind};

/// The longest name of a stream, in UTF-16 units.
const LONGEST: usize = 255;

/// Reads a member as a row of streams.
pub(super) struct MemberStream<'a, R> {
    archive: &'a mut Archive<R>,
    path: &'a LayerPath,
    /// The name of the file in the archive, with a colon behind it.
    prefix: Vec<u8>,
    cancel: &'a CancellationToken,
    /// What comes before more of the archive does.
    head: io::Cursor<Vec<u8>>,
    streams: HashSet<Vec<u8>>,
    /// What comes behind the file.
    next: Option<Member>,
    is_done: bool,
    /// What failed here and not where it is written.
    failed: Option<ImportError>,
    bytes: u64,
}

impl<'a, R: Read> MemberStream<'a, R> {
    /// `head` comes before the content of the file, which was the last member of `archive`.
    pub(super) fn new(
        archive: &'a mut Archive<R>,
        path: &'a LayerPath,
        member: &Member,
        head: Vec<u8>,
        cancel: &'a CancellationToken,
    ) -> Self {
        let prefix = [member.path.as_bytes(), b":"].concat();
        let (head, streams) = (io::Cursor::new(head), HashSet::new());
        let bytes = member.size;
        Self { archive, path, prefix, cancel, head, streams, next: None, is_done: false, failed: None, bytes }
    }

    /// Reads what nobody has read. Returns what comes behind the file, and how many bytes of content it has.
    pub(super) fn finish(mut self, made: io::Result<()>) -> Result<(Option<Member>, u64), ImportError> {
        let made = made.and_then(|()| io::copy(&mut self, &mut io::sink()).map(drop));
        match (self.failed, made) {
            (Some(error), _) => Err(error),
            (None, Err(source)) => Err(ImportError::Sink { path: self.path.clone(), source }),
            (None, Ok(())) => Ok((self.next, self.bytes)),
        }
    }

    fn advance(&mut self) -> Result<(), ImportError> {
        let Some(member) = self.archive.next_member().map_err(ImportError::Archive)? else {
            self.is_done = true;
            return Ok(());
        };
        let path = member.path.as_bytes();
        match path.strip_prefix(self.prefix.as_slice()) {
            Some(stream) if member.kind == MemberKind::File => {
                let name = self.checked(stream)?;
                let header = StreamHeader::alternate(&name, member.size).encode();
                let refused = |source| ImportError::Backup { path: self.path.clone(), source };
                self.head = io::Cursor::new(header.map_err(refused)?);
                self.bytes = self.bytes.saturating_add(member.size);
            }
            _ => {
                self.next = Some(member);
                self.is_done = true;
            }
        }
        Ok(())
    }

    /// The name of a stream, which may hold more than names of files.
    ///
    /// Source: Microsoft, "File Streams".
    fn checked(&mut self, name: &[u8]) -> Result<String, ImportError> {
        let text = String::from_utf8_lossy(name).into_owned();
        let fits = !name.is_empty()
            && text.as_bytes() == name
            && text.encode_utf16().count() <= LONGEST
            && !text.contains(['/', '\\', ':', '\0']);
        if fits && self.streams.insert(fold(name)) {
            return Ok(text);
        }
        Err(ImportError::Stream { path: self.path.clone(), stream: text })
    }
}

impl<R: Read> Read for MemberStream<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.failed.is_some() {
            return Ok(0);
        }
        loop {
            // A file may be very long.
            if self.cancel.is_cancelled() {
                self.failed = Some(ImportError::Cancelled);
                return Err(io::Error::other("cancelled"));
            }
            let read = self.head.read(buffer)?;
            if read > 0 || self.is_done {
                return Ok(read);
            }
            match self.archive.read(buffer) {
                Ok(0) => {}
                Ok(read) => return Ok(read),
                Err(error) => {
                    self.failed = Some(ImportError::Archive(error));
                    return Err(io::Error::other("the layer cannot be read"));
                }
            }
            if let Err(error) = self.advance() {
                self.failed = Some(error);
                return Err(io::Error::other("the layer cannot be read"));
            }
        }
    }
}

//! What the streams of a file say before its content is read.

use std::io::{self, Read, Seek as _, SeekFrom};

use super::{
    super::{
        backup::{BackupReader, ExtendedAttribute, ReparsePoint, SPARSE, StreamHeader, StreamKind},
        path::LayerPath,
    },
    error::ExportError,
    source::ReadSeek,
};

/// The most bytes of a security descriptor, of the extended attributes and of the reparse point of a file.
const LONGEST_SECURITY: u64 = 64 << 10;
const LONGEST_ATTRIBUTES: u64 = 64 << 10;
const LONGEST_REPARSE: u64 = 16 << 10;

/// A file that is open.
pub(super) enum Opened {
    Plain(Box<dyn ReadSeek + Send>),
    Backup(Box<dyn Read + Send>),
}

impl Opened {
    /// Skips bytes without reading them, where that can be.
    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        match (self, i64::try_from(bytes)) {
            (Self::Plain(file), Ok(bytes)) => file.seek(SeekFrom::Current(bytes)).map(drop),
            (Self::Plain(_), Err(_)) => Err(io::ErrorKind::UnexpectedEof.into()),
            (Self::Backup(file), _) => {
                let read = io::copy(&mut file.take(bytes), &mut io::sink())?;
                if read == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
        }
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Backup(file) => file.read(buffer),
        }
    }
}

/// What the streams of a file say.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) security: Option<Vec<u8>>,
    pub(super) extended: Vec<ExtendedAttribute>,
    pub(super) reparse: Option<ReparsePoint>,
    /// The length of the content.
    pub(super) size: u64,
    /// Whether the content comes as blocks with nothing between them.
    pub(super) has_blocks: bool,
    /// The further streams and their lengths, in their order.
    pub(super) streams: Vec<(String, u64)>,
}

impl Facts {
    /// Reads everything but content.
    pub(super) fn read(path: &LayerPath, opened: Opened) -> Result<Self, ExportError> {
        let mut reader = BackupReader::new(opened);
        let mut facts = Self::default();
        // Whether blocks may come, and whether the content has its end.
        let (mut is_sparse, mut is_ended) = (false, false);
        let backup = |source| ExportError::Backup { path: path.clone(), source };
        loop {
            reader.skip_by(Opened::skip).map_err(backup)?;
            let Some(header) = reader.next_stream().map_err(backup)? else { break };
            let mut whole = |most| reader.whole(&header, most).map_err(backup);
            if header.kind != StreamKind::SparseBlock && facts.has_blocks && !is_ended {
                return Err(odd(path, "sparse blocks without an end"));
            }
            let has_been = |known: bool| if known { Err(odd(path, "a stream twice")) } else { Ok(()) };
            match header.kind {
                StreamKind::Security => {
                    has_been(facts.security.is_some())?;
                    facts.security = Some(whole(LONGEST_SECURITY)?);
                }
                StreamKind::ExtendedAttributes => {
                    has_been(!facts.extended.is_empty())?;
                    let list = ExtendedAttribute::decode(&whole(LONGEST_ATTRIBUTES)?);
                    let refused = |source| ExportError::ExtendedAttributes { path: path.clone(), source };
                    facts.extended = list.map_err(refused)?;
                }
                StreamKind::ReparsePoint => {
                    has_been(facts.reparse.is_some())?;
                    let point = ReparsePoint::decode(&whole(LONGEST_REPARSE)?);
                    let refused = |source| ExportError::Link { path: path.clone(), source };
                    facts.reparse = Some(point.map_err(refused)?);
                }
                StreamKind::Data => {
                    has_been(facts.size > 0 || is_sparse)?;
                    facts.size = header.size;
                    is_sparse = header.attributes & SPARSE != 0 && header.size == 0;
                }
                StreamKind::SparseBlock => {
                    if !is_sparse || is_ended || header.offset < facts.size {
                        return Err(odd(path, "sparse blocks out of their order"));
                    }
                    facts.has_blocks = true;
                    facts.size = header.offset.saturating_add(header.size);
                    is_ended = header.size == 0;
                }
                StreamKind::Alternate => {
                    is_sparse = false;
                    facts.streams.push(alternate(path, &header)?);
                }
                // Nothing of these is kept in layers.
                StreamKind::Link | StreamKind::Property | StreamKind::ObjectId | StreamKind::Transaction => {}
            }
        }
        if facts.has_blocks && !is_ended {
            return Err(odd(path, "sparse blocks without an end"));
        }
        Ok(facts)
    }

    /// The bytes of all its content.
    pub(super) fn bytes(&self) -> u64 {
        self.streams.iter().fold(self.size, |sum, (_, size)| sum.saturating_add(*size))
    }
}

fn alternate(path: &LayerPath, header: &StreamHeader) -> Result<(String, u64), ExportError> {
    if header.attributes & SPARSE != 0 {
        return Err(odd(path, "a further stream that is sparse, whose length nothing says before its end"));
    }
    let name = header.stream_name();
    if name.is_empty() || name.contains([':', '/', '\\', '\0']) {
        return Err(odd(path, "a further stream with a name that no layer can hold"));
    }
    Ok((name.to_owned(), header.size))
}

pub(super) fn odd(path: &LayerPath, what: &'static str) -> ExportError {
    ExportError::Streams { path: path.clone(), what }
}

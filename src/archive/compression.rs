//! What compresses archives, told by their first bytes.

use std::io::{self, BufRead, BufReader, Read};

use super::{
    header::{BLOCK, Header},
    limits::{Guarded, Limits, Stored},
    reader::odd,
};

/// The most memory that unpacking xz may take, in KiB: `xz -9` asks for 64 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// How an archive is compressed, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
    /// With bzip2.
    Bzip2,
    /// With xz.
    Xz,
}

impl Compression {
    /// Told by the first six bytes.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

/// How many bytes [`is_archive`] looks at.
pub const ARCHIVE_HEAD: usize = BLOCK;

/// Whether something that begins like this is an archive, compressed or not, and no text.
///
/// Source: buildx, `build/utils.go` (`isArchive`): anything compressed, or a tar header whose checksum is right.
pub fn is_archive(start: &[u8]) -> bool {
    let empty = |block: &[u8; BLOCK]| block.iter().all(|byte| *byte == 0);
    let tar = |block: &[u8; BLOCK]| empty(block) || Header::new(block).is_some();
    Compression::of(start) != Compression::None || start.first_chunk().is_some_and(tar)
}

/// The bytes of an archive, whatever compressed them, with the usual limits.
///
/// # Errors
/// As [`decompress_within`] has them.
pub fn decompress(source: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    decompress_within(source, Limits::default())
}

/// The bytes of an archive, whatever compressed them, as far as `limits` go.
///
/// # Errors
/// Reading fails with [`io::ErrorKind::InvalidData`] where more comes out than may.
pub fn decompress_within(
    source: impl Read + Send + 'static,
    limits: Limits,
) -> io::Result<Box<dyn Read + Send>> {
    let stored = Stored::new(source);
    let guard = stored.guard(limits);
    let mut source = BufReader::with_capacity(128 << 10, stored);
    let source: Box<dyn Read + Send> = match Compression::of(source.fill_buf()?) {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(source)?),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        Compression::Xz => {
            let reader = lzma_rust2::XzReader::new_mem_limit(source, true, XZ_MEMORY);
            Box::new(Explained(reader))
        }
    };
    Ok(Box::new(Guarded { source, guard }))
}

/// Says what is wrong where the decoder only says that something is, and never asks it for nothing, which it takes
/// for the end of a block.
struct Explained<R>(R);

impl<R: Read> Read for Explained<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => odd("unpacking it takes more than 256 MiB of memory"),
            _ => error,
        })
    }
}

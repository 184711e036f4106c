//! Compressing a layer block by block, each on its own, so that any number of threads gives the same bytes.
//!
//! Both gzip (RFC 1952, section 2.2) and zstd (RFC 8878, section 3) say that several members or frames one after
//! the other are the content of all of them. The bytes do depend on the versions of libdeflate and zstd.

use std::{io, ops::Range};

use libdeflater::{CompressionLvl, Compressor as Deflate};
use serde::{Deserialize, Serialize};

/// How much of an archive is compressed on its own. Larger blocks give hardly smaller layers: deflate looks back
/// no further than 32 KiB.
pub(super) const BLOCK: usize = 1 << 20;

/// How the bytes of a layer are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub enum Compression {
    /// As they are.
    None,
    /// With gzip, which everything reads.
    Gzip(Level),
    /// With zstd, smaller and faster; engines from before 2021 cannot read it.
    Zstd(Level),
}

/// How hard to compress: from 1, fast, to 9, small, or 22 with zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// The usual level of gzip: libdeflate's is as small as zlib's 6, and faster.
    pub const GZIP: Self = Self(6);
    /// The usual level of zstd.
    pub const ZSTD: Self = Self(3);

    /// A level from 1 to 9.
    pub fn new(level: u8) -> Option<Self> {
        (1..=9).contains(&level).then_some(Self(level))
    }

    /// A level from 1 to 22, which zstd has.
    pub fn of_zstd(level: u8) -> Option<Self> {
        (1..=22).contains(&level).then_some(Self(level))
    }
}

/// A compression as it is written down: with a level of which nobody knows yet that there is such a one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    None,
    Gzip(u8),
    Zstd(u8),
}

impl From<Compression> for Form {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip(Level(level)) => Self::Gzip(level),
            Compression::Zstd(Level(level)) => Self::Zstd(level),
        }
    }
}

impl TryFrom<Form> for Compression {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        match form {
            Form::None => Ok(Self::None),
            Form::Gzip(level) => Level::new(level).map(Self::Gzip).ok_or("a level of gzip is 1 to 9"),
            Form::Zstd(level) => Level::of_zstd(level).map(Self::Zstd).ok_or("a level of zstd is 1 to 22"),
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(Level::GZIP)
    }
}

impl Compression {
    /// The media type of a layer.
    ///
    /// Source: OCI image specification, `media-types.md`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd(_) => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// Compresses blocks. Each thread has its own.
pub(super) enum Compressor {
    Gzip { level: Deflate, probe: Deflate, store: Deflate },
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Compressor {
    /// `None` where nothing is to be compressed.
    pub(super) fn new(compression: Compression) -> io::Result<Option<Self>> {
        let deflate = |level: u8| {
            let level = CompressionLvl::new(i32::from(level));
            level.map(Deflate::new).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
        };
        match compression {
            Compression::None => Ok(None),
            Compression::Gzip(Level(level)) => {
                let (level, probe, store) = (deflate(level)?, deflate(1)?, deflate(0)?);
                Ok(Some(Self::Gzip { level, probe, store }))
            }
            Compression::Zstd(Level(level)) => {
                Ok(Some(Self::Zstd(Box::new(zstd::bulk::Compressor::new(i32::from(level))?))))
            }
        }
    }

    /// The parts of a block that are compressed each on its own, and whether each is worth it.
    ///
    /// What is compressed or encrypted already never is, and is stored more than ten times as fast.
    pub(super) fn parts(&mut self, block: &[u8]) -> Vec<(Range<usize>, bool)> {
        let Self::Gzip { probe, .. } = self else { return vec![(0..block.len(), true)] };
        let mut parts: Vec<(Range<usize>, bool)> = Vec::new();
        for (number, piece) in block.chunks(PIECE).enumerate() {
            let end = number * PIECE + piece.len();
            match parts.last_mut() {
                // A short end goes with what is before it.
                Some((part, _)) if piece.len() < PIECE => part.end = end,
                last => {
                    let worth = piece.len() < PIECE || is_compressible(piece, probe);
                    match last {
                        Some((part, same)) if *same == worth => part.end = end,
                        _ => parts.push((number * PIECE..end, worth)),
                    }
                }
            }
        }
        parts
    }

    /// Appends a part of a block to `output`, compressed if it is worth it.
    pub(super) fn compress(&mut self, part: &[u8], worth: bool, output: &mut Vec<u8>) -> io::Result<()> {
        let begin = output.len();
        let written = match self {
            Self::Gzip { level, store, .. } => {
                let deflate = if worth { level } else { store };
                output.resize(begin + deflate.gzip_compress_bound(part.len()), 0);
                let written = deflate.gzip_compress(part, &mut output[begin..]);
                written.map_err(|error| io::Error::other(error.to_string()))?
            }
            Self::Zstd(zstd) => {
                output.resize(begin + zstd::zstd_safe::compress_bound(part.len()), 0);
                zstd.compress_to_buffer(part, &mut output[begin..])?
            }
        };
        output.truncate(begin + written);
        Ok(())
    }
}

/// How much of a block is judged at once.
const PIECE: usize = 64 << 10;
/// How many samples of it are tried.
const PROBES: usize = 4;
/// And how long they are.
const PROBE: usize = 512;

/// Whether a piece is worth the time that deflate takes. A few small samples from all over it tell; they cost it 3 %.
fn is_compressible(piece: &[u8], probe: &mut Deflate) -> bool {
    // Room for output that is worth it, so that deflate stops early at what is not.
    let mut output = [0; PROBE - PROBE / 32];
    let step = (piece.len() - PROBE) / (PROBES - 1);
    let mut samples = (0..PROBES).map(|at| &piece[at * step..at * step + PROBE]);
    samples.any(|sample| probe.deflate_compress(sample, &mut output).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    fn random(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
        bytes.truncate(length);
        bytes
    }

    fn compressor(compression: Compression) -> Compressor {
        Compressor::new(compression).expect("a level").expect("a compressor")
    }

    fn compress(compression: Compression, block: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        compressor(compression).compress(block, true, &mut output).expect("compressed");
        output
    }

    #[test]
    fn a_level_is_from_one_to_nine() {
        for (level, valid) in [(0, false), (1, true), (9, true), (10, false)] {
            assert_eq!(Level::new(level).is_some(), valid, "{level}");
        }
    }

    #[test]
    fn what_is_compressed_comes_back_at_every_level() {
        let blocks = [Vec::new(), b"x".to_vec(), random(BLOCK), b"text ".repeat(BLOCK / 5)];
        for level in [1, 6, 9].into_iter().filter_map(Level::new) {
            for block in &blocks {
                let mut gzip = libdeflater::Decompressor::new();
                let mut text = vec![0; block.len()];
                let length = gzip.gzip_decompress(&compress(Compression::Gzip(level), block), &mut text);
                assert_eq!((length.ok(), &text), (Some(block.len()), block));
                let zstd = compress(Compression::Zstd(level), block);
                assert_eq!(zstd::bulk::decompress(&zstd, BLOCK).expect("readable"), *block);
            }
        }
    }

    #[test]
    fn a_gzip_member_tells_neither_time_nor_system() {
        let member = compress(Compression::default(), b"hello");
        // Magic, deflate, no flags, no time, no extra flags at this level, and an unknown system.
        assert_eq!(member[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn only_what_has_nothing_to_gain_is_stored() {
        let noise = random(BLOCK);
        let parts = |block: &[u8]| compressor(Compression::default()).parts(block);
        assert_eq!(parts(&noise), [(0..BLOCK, false)]);
        let mut stored = b"before".to_vec();
        compressor(Compression::default()).compress(&noise, false, &mut stored).expect("stored");
        assert!(stored.starts_with(b"before") && stored.len() < BLOCK + BLOCK / 1000);
        // A quarter of a piece that can be compressed is enough for that piece, and for no other.
        let mut mixed = noise.clone();
        mixed[5 * PIECE + 10_000..6 * PIECE - 30_000].fill(b'a');
        assert_eq!(
            parts(&mixed),
            [(0..5 * PIECE, false), (5 * PIECE..6 * PIECE, true), (6 * PIECE..BLOCK, false)]
        );
        let base64: Vec<u8> = noise.iter().map(|byte| b'A' + byte % 64).collect();
        assert_eq!(parts(&base64), [(0..BLOCK, true)]);
        assert_eq!(parts(&noise[..40_000]), [(0..40_000, true)], "a short block is never stored");
        let little_more = PIECE + 9;
        assert_eq!(parts(&noise[..little_more]), [(0..little_more, false)]);
        assert_eq!(parts(&[]), []);
    }

    #[test]
    fn members_one_after_the_other_are_one_stream_to_gzip() {
        let Ok(mut gzip) = std::process::Command::new("gzip")
            .arg("-dc")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
        else {
            return;
        };
        let mut stream = compress(Compression::default(), b"one ");
        stream.extend(compress(Compression::default(), b"two"));
        gzip.stdin.take().expect("a pipe").write_all(&stream).expect("written");
        let mut text = String::new();
        gzip.stdout.take().expect("a pipe").read_to_string(&mut text).expect("read");
        assert!(gzip.wait().expect("ended").success());
        assert_eq!(text, "one two");
    }
}

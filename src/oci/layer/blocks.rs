//! Blocks of a layer that were compressed before.
//!
//! When one file of many has changed, most blocks of the new layer are those of the old one, and taking them from
//! there costs a tenth of compressing them. A block is only taken when it uncompresses to the very bytes that are
//! wanted, so a damaged blob or a wrong table cannot do harm.

use std::{collections::HashMap, fs::File, io};

use libdeflater::Decompressor as Inflate;
use serde::{Deserialize, Serialize};

use super::compression::Compression;
use crate::file_at;

/// Where the blocks of a layer are in its blob.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockTable(pub(super) Vec<BlockRecord>);

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlockRecord {
    /// A checksum of its bytes, which only says which block may be worth a look.
    pub(super) checksum: u32,
    /// How many they are.
    pub(super) length: u32,
    /// And how many when compressed.
    pub(super) stored: u32,
}

/// A blob whose blocks can be used again.
#[derive(Debug)]
pub struct Reusable {
    blob: File,
    /// From checksum and length to offset and stored length.
    blocks: HashMap<(u32, u32), (u64, u32)>,
}

impl Reusable {
    /// The blocks that `table` lists in `blob`, which were compressed the same way.
    pub fn new(blob: File, table: &BlockTable) -> Self {
        let mut at = 0;
        let mut blocks = HashMap::with_capacity(table.0.len());
        for block in &table.0 {
            blocks.insert((block.checksum, block.length), (at, block.stored));
            at += u64::from(block.stored);
        }
        Self { blob, blocks }
    }

    /// Appends the compressed form of `block` to `output`, if there is one; else what is appended is of no use.
    pub(super) fn find(
        &self,
        block: &[u8],
        checksum: u32,
        output: &mut Vec<u8>,
        check: &mut Decompressor,
    ) -> bool {
        let known = u32::try_from(block.len()).ok().and_then(|length| self.blocks.get(&(checksum, length)));
        let Some((offset, stored)) = known else { return false };
        let begin = output.len();
        output.resize(begin + *stored as usize, 0);
        let found = &mut output[begin..];
        file_at::read_exact_at(&self.blob, found, *offset).is_ok() && check.is(found, block)
    }
}

/// Uncompresses blocks. Each thread has its own.
pub(super) enum Decompressor {
    Gzip { inflate: Inflate, buffer: Vec<u8> },
    Zstd { zstd: Box<zstd::bulk::Decompressor<'static>>, buffer: Vec<u8> },
}

impl Decompressor {
    /// `None` where nothing is compressed.
    pub(super) fn new(compression: Compression) -> io::Result<Option<Self>> {
        let buffer = Vec::new();
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip(_) => Some(Self::Gzip { inflate: Inflate::new(), buffer }),
            Compression::Zstd(_) => {
                Some(Self::Zstd { zstd: Box::new(zstd::bulk::Decompressor::new()?), buffer })
            }
        })
    }

    /// Whether `stored` is `block` in its compressed form.
    fn is(&mut self, stored: &[u8], block: &[u8]) -> bool {
        let (written, buffer) = match self {
            Self::Gzip { inflate, buffer } => {
                buffer.resize(block.len(), 0);
                (inflate.gzip_decompress(stored, buffer).ok(), buffer)
            }
            Self::Zstd { zstd, buffer } => {
                buffer.resize(block.len(), 0);
                (zstd.decompress_to_buffer(stored, buffer.as_mut_slice()).ok(), buffer)
            }
        };
        written == Some(block.len()) && buffer == block
    }
}

//! Writing a layer entry by entry.

use std::{
    fmt,
    io::{self, Read},
    num::NonZero,
    sync::Arc,
    thread,
};

use polyarch_actors::{Digest, ImageOs};
use tokio_util::sync::CancellationToken;

use super::{
    blocks::{BlockTable, Reusable},
    check::{WHITEOUT, below_files, check, check_path, check_windows, refused, shown},
    compression::{BLOCK, Compression},
    entry::{EntryKind, LayerEntry, Policy},
    error::LayerError,
    header,
    pipeline::{Pipeline, Stored},
    windows,
};
use crate::oci::Store;

/// The name of the entry that hides everything below layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How a layer is written.
#[derive(Clone, Debug, Default)]
pub struct LayerOptions {
    /// What the image is for. For Windows, names are those of the image, and the layer has what Windows wants beside
    /// them; it is refused what Windows does not have.
    pub os: ImageOs,
    /// How its bytes are stored.
    pub compression: Compression,
    /// What it says of every entry.
    pub policy: Policy,
    /// How many threads compress: one per CPU where it is not said. The bytes do not depend on it.
    pub threads: Option<NonZero<usize>>,
    /// A layer like this one, compressed the same way, whose blocks are used again.
    pub reuse: Option<Arc<Reusable>>,
    /// Stops it between two reads.
    pub cancel: CancellationToken,
}

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the blob.
    pub digest: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
    /// The digest of the archive in it, which the image config lists.
    pub diff_id: Digest,
    /// What the blob is.
    pub media_type: &'static str,
    /// The length of the archive in bytes.
    pub uncompressed_size: u64,
    /// Where its blocks are in the blob.
    pub blocks: BlockTable,
}

impl Layer {
    pub(super) fn new(stored: Stored, media_type: &'static str) -> Self {
        Self {
            digest: stored.digest,
            size: stored.size,
            diff_id: stored.input_digest,
            media_type,
            uncompressed_size: stored.input_size,
            blocks: stored.blocks,
        }
    }
}

/// A layer that is being written. Dropping it leaves nothing in the store.
///
/// It blocks and computes: use it on a thread of its own, never on an arbiter.
pub struct LayerWriter {
    pipeline: Pipeline,
    os: ImageOs,
    pub(super) policy: Policy,
    media_type: &'static str,
    cancel: CancellationToken,
    header: Vec<u8>,
    broken: bool,
}

impl LayerWriter {
    /// Begins a layer in `store`.
    pub fn new(store: &Store, options: LayerOptions) -> Result<Self, LayerError> {
        let LayerOptions { os, compression, policy, threads, reuse, cancel } = options;
        let threads =
            threads.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN);
        let pipeline = Pipeline::new(store, compression, threads, reuse)?;
        let media_type = compression.media_type();
        let header = Vec::new();
        let mut writer = Self { pipeline, os, policy, media_type, cancel, header, broken: false };
        if os == ImageOs::Windows {
            for name in [windows::FILES, windows::HIVES] {
                let kind = EntryKind::Directory;
                let entry = LayerEntry { name, kind, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
                writer.put(&writer.policy.apply(entry), io::empty())?;
            }
        }
        Ok(writer)
    }

    /// Appends one entry. `content` must give exactly as many bytes as a file has; other entries have none. Returns
    /// where its bytes begin in the archive.
    ///
    /// Entries stand in the layer in the order in which they are appended: a directory must come before what is
    /// in it, and a file before its hard links. After a failure there is no layer any more.
    pub fn append(&mut self, entry: &LayerEntry<'_>, content: impl Read) -> Result<u64, LayerError> {
        self.whole(|writer| {
            check(entry)?;
            let entry = writer.policy.apply(*entry);
            if writer.os == ImageOs::Windows {
                writer.put_below_files(entry, content)
            } else {
                writer.put(&entry, content)
            }
        })
    }

    /// Appends the deletion of `path` from the layers below.
    pub fn whiteout(&mut self, path: &[u8]) -> Result<(), LayerError> {
        let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        self.mark(path, &[&path[..name], WHITEOUT, &path[name..]].concat())
    }

    /// Appends the deletion of everything that the layers below have in `directory`. Windows knows deletions of single
    /// names only.
    pub fn opaque(&mut self, directory: &[u8]) -> Result<(), LayerError> {
        if self.os == ImageOs::Windows {
            return Err(refused(directory, "layers of Windows images delete names one by one"));
        }
        self.mark(directory, &[directory, b"/", OPAQUE].concat())
    }

    /// How long the archive is so far, in bytes. Right after [`Self::append`] its end is that of the content, filled
    /// up to a multiple of 512 bytes.
    pub fn written(&self) -> u64 {
        self.pipeline.position()
    }

    /// Ends the layer and makes it visible in the store.
    pub fn finish(mut self) -> Result<Layer, LayerError> {
        self.whole(|writer| {
            writer.go_on()?;
            // Two empty blocks end an archive.
            writer.pipeline.push(&[0; 2 * header::BLOCK])
        })?;
        Ok(Layer::new(self.pipeline.finish()?, self.media_type))
    }

    /// Does a step that must not fail, or there is no layer.
    pub(super) fn whole<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, LayerError>,
    ) -> Result<T, LayerError> {
        if self.broken {
            return Err(LayerError::Broken);
        }
        self.broken = true;
        let done = step(self)?;
        self.broken = false;
        Ok(done)
    }

    fn mark(&mut self, path: &[u8], name: &[u8]) -> Result<(), LayerError> {
        self.whole(|writer| {
            check_path(path)?;
            let below;
            let name = if writer.os == ImageOs::Windows {
                check_windows(path)?;
                below = below_files(name);
                &below
            } else {
                name
            };
            let kind = EntryKind::File { size: 0 };
            let entry = LayerEntry { name, kind, mode: 0, uid: 0, gid: 0, mtime: 0, xattrs: &[] };
            writer.put(&entry, io::empty()).map(drop)
        })
    }

    /// Appends an entry by its name in the layer.
    pub(super) fn put(&mut self, entry: &LayerEntry<'_>, content: impl Read) -> Result<u64, LayerError> {
        match self.os {
            ImageOs::Linux => self.put_with(entry, header::Extra::default(), content),
            ImageOs::Windows => {
                self.put_with(&LayerEntry { xattrs: &[], ..*entry }, windows::extra(entry), content)
            }
        }
    }

    /// The same with what is said beside what every system knows.
    pub(super) fn put_with(
        &mut self,
        entry: &LayerEntry<'_>,
        extra: header::Extra,
        content: impl Read,
    ) -> Result<u64, LayerError> {
        self.go_on()?;
        if begins_block(entry, self.pipeline.filled()) {
            self.pipeline.cut()?;
        }
        self.header.clear();
        header::write_with(entry, extra, &mut self.header);
        self.pipeline.push(&self.header)?;
        let begin = self.pipeline.position();
        if let EntryKind::File { size } = entry.kind {
            self.copy(entry.name, size, content)?;
        }
        Ok(begin)
    }

    fn copy(&mut self, name: &[u8], size: u64, mut content: impl Read) -> Result<(), LayerError> {
        let shown = || shown(name);
        let mut left = size;
        while left > 0 {
            self.go_on()?;
            let room = self.pipeline.room();
            let length = usize::try_from(left).map_or(room.len(), |left| left.min(room.len()));
            match content.read(&mut room[..length]) {
                Ok(0) => {
                    return Err(LayerError::Shrank { name: shown(), expected: size, found: size - left });
                }
                Ok(read) => {
                    self.pipeline.advance(read)?;
                    left -= read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LayerError::Read { name: shown(), source }),
            }
        }
        loop {
            match content.read(&mut [0]) {
                Ok(0) => break,
                Ok(_) => return Err(LayerError::Grew { name: shown(), expected: size }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LayerError::Read { name: shown(), source }),
            }
        }
        self.pipeline.push(&[0; header::BLOCK][..header::padding(size)])
    }

    fn go_on(&self) -> Result<(), LayerError> {
        if self.cancel.is_cancelled() { Err(LayerError::Cancelled) } else { Ok(()) }
    }
}

impl fmt::Debug for LayerWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerWriter").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Whether a new block begins with an entry. What decides is the entry itself, so that a change before it moves
/// blocks but hardly changes them, and they can be used again.
fn begins_block(entry: &LayerEntry<'_>, filled: usize) -> bool {
    if matches!(entry.kind, EntryKind::File { size } if size >= BLOCK as u64) {
        return true;
    }
    // FNV-1a, 32 bits.
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    filled >= BLOCK / 4 && entry.name.iter().fold(0x811c_9dc5, mix) & 0xF00 == 0
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;

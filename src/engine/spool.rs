//! The bytes of files that are in layers and archives.
//!
//! A compressed layer cannot be read from the middle, so one that a step copies from is uncompressed once, into a
//! temporary file of the build.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use polyarch_actors::Digest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    error::EngineError,
    index::{self, IndexEntry, Tee},
};
use crate::{
    archive::{Limits, Member, Sparse, decompress_within},
    file_at,
    oci::Store,
};

/// How much of a layer is uncompressed before somebody is asked whether it is still wanted, in bytes.
const PIECE: u64 = 4 << 20;

/// The bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct Bytes {
    pub(super) size: u64,
    /// Their BLAKE3.
    pub(super) digest: [u8; 32],
    /// The archive that holds them, and from where on.
    pub(super) spool: Arc<Spool>,
    pub(super) offset: u64,
}

/// An archive that is uncompressed when its first file is read.
#[derive(Debug)]
pub(super) struct Spool {
    /// The blob; an archive of a build context is none, and is uncompressed from the beginning.
    blob: Option<Digest>,
    open: OnceLock<Arc<File>>,
    /// Held by whoever uncompresses it.
    opening: Mutex<()>,
}

/// The archives that a build reads.
#[derive(Debug)]
pub(super) struct Spools {
    pub(super) store: Store,
    pub(super) scratch: TempDir,
    pub(super) cancel: CancellationToken,
    /// How much one archive may hold.
    pub(super) limits: Limits,
    layers: Mutex<HashMap<Digest, Arc<Spool>>>,
}

impl Spools {
    pub(super) fn new(store: Store, limits: Limits, cancel: CancellationToken) -> Result<Self, EngineError> {
        let scratch = store.scratch_dir("sandbox")?;
        Ok(Self { store, scratch, cancel, limits, layers: Mutex::default() })
    }

    /// The layer that is the blob `blob`.
    pub(super) fn of_layer(&self, blob: &Digest) -> Arc<Spool> {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let spool = || Arc::new(Spool::of_blob(blob.clone()));
        Arc::clone(layers.entry(blob.clone()).or_insert_with(spool))
    }

    /// An archive from a build context, which is read right away, and its members.
    pub(super) fn of_archive(
        &self,
        archive: impl Read + Send + 'static,
        name: &str,
    ) -> Result<(Arc<Spool>, Vec<IndexEntry>), EngineError> {
        let (file, members) = self.unpack(archive, name, stays_inside)?;
        let open = OnceLock::from(Arc::new(file));
        Ok((Arc::new(Spool { blob: None, open, opening: Mutex::default() }), members))
    }

    /// A file that is as it should be, like a blob that was downloaded.
    pub(super) fn of_file(file: File, size: u64, digest: &Digest) -> Bytes {
        let spool = Spool { blob: None, open: OnceLock::from(Arc::new(file)), opening: Mutex::default() };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digest.hex().as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        Bytes { size, digest: bytes, spool: Arc::new(spool), offset: 0 }
    }

    /// Uncompresses a layer, whose members are known, to a temporary file that has no name.
    fn uncompress(&self, layer: impl Read + Send + 'static, name: &str) -> Result<File, EngineError> {
        let malformed = |error| EngineError::malformed(name, error);
        let mut source = decompress_within(layer, self.limits).map_err(malformed)?;
        let file =
            tempfile::tempfile_in(self.scratch.path()).map_err(EngineError::io("make a temporary file"))?;
        let mut copy = Sparse::new(&file);
        while io::copy(&mut source.by_ref().take(PIECE), &mut copy).map_err(malformed)? > 0 {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
        }
        copy.finish().map_err(malformed)?;
        Ok(file)
    }

    /// Uncompresses an archive to a temporary file that has no name.
    fn unpack(
        &self,
        archive: impl Read + Send + 'static,
        name: &str,
        check: impl Fn(&Member) -> Result<(), String>,
    ) -> Result<(File, Vec<IndexEntry>), EngineError> {
        let malformed = |error| EngineError::malformed(name, error);
        let source = decompress_within(archive, self.limits).map_err(malformed)?;
        let file =
            tempfile::tempfile_in(self.scratch.path()).map_err(EngineError::io("make a temporary file"))?;
        let mut tee = Tee { source, copy: Sparse::new(&file) };
        let members = index::read(&mut tee, name, check, self.limits, &self.cancel)?;
        tee.copy.finish().map_err(malformed)?;
        Ok((file, members))
    }
}

/// Refuses what would be put somewhere else, as moby's `pkg/archive` does.
fn stays_inside(member: &Member) -> Result<(), String> {
    if member.leads_out {
        return Err(format!("its member {} leads out of where it is unpacked", member.path));
    }
    Ok(())
}

impl Spool {
    pub(super) fn of_blob(blob: Digest) -> Self {
        Self { blob: Some(blob), open: OnceLock::new(), opening: Mutex::default() }
    }

    fn opened(&self, spools: &Spools) -> Result<Arc<File>, EngineError> {
        let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = self.open.get() {
            return Ok(Arc::clone(open));
        }
        let gone = || EngineError::Malformed { what: "an archive".into(), reason: "it is gone".into() };
        let blob = self.blob.as_ref().ok_or_else(gone)?;
        let file = spools.uncompress(spools.store.open_blob(blob)?, &format!("layer {blob}"))?;
        Ok(Arc::clone(self.open.get_or_init(|| Arc::new(file))))
    }
}

impl Bytes {
    /// A reader of the file.
    pub(super) fn open(&self, spools: &Spools) -> Result<Section, EngineError> {
        Ok(Section { file: self.spool.opened(spools)?, at: self.offset, left: self.size })
    }

    /// The whole of a file that must be small.
    pub(super) fn read_small(&self, most: u64, spools: &Spools) -> Result<Vec<u8>, EngineError> {
        if self.size > most {
            let reason = format!("a file that is needed has {} bytes, more than {most}", self.size);
            return Err(EngineError::Malformed { what: "a layer".into(), reason });
        }
        let mut bytes = Vec::new();
        self.open(spools)?.read_to_end(&mut bytes).map_err(EngineError::io("read a layer"))?;
        Ok(bytes)
    }
}

/// A part of a file that several read at once.
#[derive(Debug)]
pub(super) struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = file_at::read_at(&self.file, &mut buffer[..length], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

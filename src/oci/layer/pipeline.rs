//! From a stream of archive bytes to a blob: blocks are compressed by many threads and written in order by one.
//!
//! At most [`BLOCKS`] blocks exist at a time, so a fast reader waits for a slow disk and memory stays bounded. A
//! failure or a panic in a thread ends the pipeline with an error; dropping it stops the threads within a
//! block each and leaves nothing in the store. A layer of one block starts no thread at all.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use polyarch_actors::Digest;
use sha2::{Digest as _, Sha256};

use super::{
    blocks::{BlockRecord, BlockTable, Decompressor, Reusable},
    compression::{BLOCK, Compression, Compressor},
    error::LayerError,
};
use crate::oci::{BlobWriter, Store, StoreError};

/// The most blocks that are being read, compressed or written at a time. Each takes twice its length.
const BLOCKS: usize = 20;
/// The most threads that compress: more would have no blocks to work on.
const THREADS: usize = 12;

/// A stored stream.
pub(super) struct Stored {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The digest of what went in.
    pub(super) input_digest: Digest,
    pub(super) input_size: u64,
    pub(super) blocks: BlockTable,
}

/// A part of the archive on its way.
#[derive(Default)]
struct Block {
    sequence: u64,
    /// As long as a block can be.
    input: Vec<u8>,
    /// How much of that there is.
    filled: usize,
    output: Vec<u8>,
    /// The parts of the output.
    records: Vec<BlockRecord>,
}

impl Block {
    fn new() -> Self {
        Self { input: vec![0; BLOCK], ..Self::default() }
    }

    fn content(&self) -> &[u8] {
        &self.input[..self.filled]
    }
}

/// Compresses and stores a stream.
pub(super) struct Pipeline {
    settings: Settings,
    threads: usize,
    /// The block that is being filled; it always has room.
    block: Block,
    /// Of all blocks that were sent.
    input_size: u64,
    /// `None` where the blob's own digest is that of the input.
    input_hash: Option<Sha256>,
    blob: Option<BlobWriter>,
    running: Option<Running>,
}

#[derive(Clone)]
struct Settings {
    compression: Compression,
    /// Where the store keeps what is not finished, for errors.
    scratch: PathBuf,
    /// What was compressed before.
    reuse: Option<Arc<Reusable>>,
    /// Set when nobody wants the result any more.
    stop: Arc<AtomicBool>,
}

struct Running {
    jobs: Sender<Block>,
    /// Blocks that were written and may be filled again.
    free: Receiver<Block>,
    made: usize,
    workers: Vec<JoinHandle<()>>,
    writer: JoinHandle<Result<(BlobWriter, BlockTable), LayerError>>,
}

impl Pipeline {
    pub(super) fn new(
        store: &Store,
        compression: Compression,
        threads: NonZero<usize>,
        reuse: Option<Arc<Reusable>>,
    ) -> Result<Self, LayerError> {
        let blob = Some(store.writer()?);
        let scratch = store.root().join("tmp");
        let settings = Settings { compression, scratch, reuse, stop: Arc::default() };
        let threads = if compression == Compression::None { 1 } else { threads.get().min(THREADS) };
        let input_hash = (compression != Compression::None).then(Sha256::new);
        Ok(Self { settings, threads, block: Block::new(), input_size: 0, input_hash, blob, running: None })
    }

    /// How many bytes have gone in.
    pub(super) fn position(&self) -> u64 {
        self.input_size + self.block.filled as u64
    }

    /// Room for the next bytes, never none. [`Self::advance`] says how much of it was used.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.block.input[self.block.filled..]
    }

    pub(super) fn advance(&mut self, bytes: usize) -> Result<(), LayerError> {
        self.block.filled += bytes;
        if self.block.filled < BLOCK { Ok(()) } else { self.send() }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let room = self.room();
            let length = room.len().min(bytes.len());
            room[..length].copy_from_slice(&bytes[..length]);
            self.advance(length)?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Ends the block here.
    pub(super) fn cut(&mut self) -> Result<(), LayerError> {
        if self.block.filled > 0 { self.send() } else { Ok(()) }
    }

    /// How much of the block there is.
    pub(super) fn filled(&self) -> usize {
        self.block.filled
    }

    /// Stores what is left and makes the blob visible.
    pub(super) fn finish(mut self) -> Result<Stored, LayerError> {
        let (blob, blocks) = if self.running.is_some() {
            if self.block.filled > 0 {
                self.send()?;
            }
            self.join()?
        } else {
            self.count();
            let mut blob = self.blob.take().ok_or(LayerError::Broken)?;
            if let Some(mut tools) = self.settings.tools()? {
                tools.compress(&mut self.block)?;
            }
            self.settings.write(&mut blob, &self.block)?;
            (blob, BlockTable(std::mem::take(&mut self.block.records)))
        };
        let (digest, size) = blob.commit(None)?;
        let hash = self.input_hash.take();
        let input_digest =
            hash.map_or_else(|| digest.clone(), |hash| Digest::from_sha256(&hash.finalize().into()));
        Ok(Stored { digest, size, input_digest, input_size: self.input_size, blocks })
    }

    /// Sends the block to be compressed, and takes another one.
    fn send(&mut self) -> Result<(), LayerError> {
        self.count();
        if self.running.is_none() {
            let blob = self.blob.take().ok_or(LayerError::Broken)?;
            self.running = Some(Running::start(&self.settings, self.threads, blob)?);
        }
        let Some(running) = &mut self.running else { return Err(LayerError::Broken) };
        let sequence = self.block.sequence + 1;
        let mut sent = running.jobs.send(std::mem::take(&mut self.block)).is_ok();
        self.block = match running.free.try_recv() {
            Ok(block) => block,
            Err(_) if running.made < BLOCKS => {
                running.made += 1;
                Block::new()
            }
            Err(_) => running.free.recv().unwrap_or_else(|_| {
                sent = false;
                Block::new()
            }),
        };
        (self.block.sequence, self.block.filled) = (sequence, 0);
        // Who no longer takes blocks has failed.
        if sent { Ok(()) } else { self.join().and(Err(LayerError::Broken)) }
    }

    fn count(&mut self) {
        self.input_size += self.block.filled as u64;
        if let Some(hash) = &mut self.input_hash {
            hash.update(self.block.content());
        }
    }

    /// Waits until all blocks are written.
    fn join(&mut self) -> Result<(BlobWriter, BlockTable), LayerError> {
        let Some(Running { jobs, free, workers, writer, .. }) = self.running.take() else {
            return Err(LayerError::Broken);
        };
        drop((jobs, free));
        for worker in workers {
            worker.join().map_err(|_| LayerError::Broken)?;
        }
        writer.join().map_err(|_| LayerError::Broken)?
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.settings.stop.store(true, Ordering::Relaxed);
        // What was written goes with the result.
        let _ = self.join();
    }
}

impl Running {
    fn start(settings: &Settings, threads: usize, blob: BlobWriter) -> Result<Self, LayerError> {
        let (jobs, queue) = channel();
        let (done, compressed) = channel();
        let (written, free) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let spawn = || thread::Builder::new().name("layer".into());
        let mut workers = Vec::new();
        for _ in 0..threads {
            let (settings, queue, done) = (settings.clone(), Arc::clone(&queue), done.clone());
            let work = move || settings.work(&queue, &done);
            workers.push(spawn().spawn(work).map_err(LayerError::Thread)?);
        }
        let settings = settings.clone();
        let write = move || settings.write_in_order(&compressed, &written, blob);
        let writer = spawn().spawn(write).map_err(LayerError::Thread)?;
        // One block is being filled already.
        Ok(Self { jobs, free, made: 1, workers, writer })
    }
}

impl Settings {
    /// What a thread compresses with; `None` where nothing is compressed.
    fn tools(&self) -> Result<Option<Tools>, LayerError> {
        let compressor = Compressor::new(self.compression).map_err(LayerError::Compress)?;
        let decompressor = Decompressor::new(self.compression).map_err(LayerError::Compress)?;
        let tools = compressor.zip(decompressor);
        let reuse = self.reuse.clone();
        Ok(tools.map(|(compressor, decompressor)| Tools { compressor, decompressor, reuse }))
    }

    fn write(&self, blob: &mut BlobWriter, block: &Block) -> Result<(), LayerError> {
        let bytes = if self.compression == Compression::None { block.content() } else { &block.output };
        blob.write_all(bytes).map_err(|source| {
            StoreError::Io { action: "write in", path: self.scratch.clone(), source }.into()
        })
    }

    /// What a compressing thread does.
    fn work(&self, queue: &Mutex<Receiver<Block>>, done: &Sender<Result<Block, LayerError>>) {
        let mut tools = match self.tools() {
            Ok(tools) => tools,
            Err(error) => {
                // Whoever no longer listens knows of another error.
                let _ = done.send(Err(error));
                return;
            }
        };
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(mut block) = job else { return };
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let result = match &mut tools {
                Some(tools) => tools.compress(&mut block),
                None => Ok(()),
            };
            if done.send(result.map(|()| block)).is_err() {
                return;
            }
        }
    }

    /// What the writing thread does.
    fn write_in_order(
        &self,
        compressed: &Receiver<Result<Block, LayerError>>,
        written: &Sender<Block>,
        mut blob: BlobWriter,
    ) -> Result<(BlobWriter, BlockTable), LayerError> {
        let mut table = BlockTable::default();
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        for block in compressed {
            let block = block?;
            waiting.insert(block.sequence, block);
            while let Some(mut block) = waiting.remove(&next) {
                self.write(&mut blob, &block)?;
                table.0.append(&mut block.records);
                next += 1;
                // Nobody fills it again when the archive is at its end.
                let _ = written.send(block);
            }
        }
        Ok((blob, table))
    }
}

/// What a thread compresses with.
struct Tools {
    compressor: Compressor,
    decompressor: Decompressor,
    reuse: Option<Arc<Reusable>>,
}

impl Tools {
    /// Compresses a block. A panic is a failure like any other: the writer would wait for the block for ever.
    fn compress(&mut self, block: &mut Block) -> Result<(), LayerError> {
        let (mut output, mut records) =
            (std::mem::take(&mut block.output), std::mem::take(&mut block.records));
        output.clear();
        records.clear();
        let compress = AssertUnwindSafe(|| {
            for (range, worth) in self.compressor.parts(block.content()) {
                let (part, begin) = (&block.content()[range], output.len());
                let checksum = libdeflater::crc32(part);
                let known = self
                    .reuse
                    .as_ref()
                    .is_some_and(|reuse| reuse.find(part, checksum, &mut output, &mut self.decompressor));
                if !known {
                    output.truncate(begin);
                    self.compressor.compress(part, worth, &mut output)?;
                }
                let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
                let stored = length(output.len() - begin);
                records.push(BlockRecord { checksum, length: length(part.len()), stored });
            }
            Ok(())
        });
        let panicked = || Err(io::Error::other("the compressor panicked"));
        let result = catch_unwind(compress).unwrap_or_else(|_| panicked());
        (block.output, block.records) = (output, records);
        result.map_err(LayerError::Compress)
    }
}

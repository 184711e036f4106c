//! What the machine itself needs: for the bytes of a COPY, and for the work of a compile stage.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest as _, Sha256};

use crate::contexts::counting;

/// The size of what is compressed at a time, in bytes, as in layers.
const BLOCK: u64 = 1 << 20;

/// The level of gzip, as in layers.
const LEVEL: i32 = 6;

/// Files, or a part of one, that fill a block.
#[derive(Default)]
struct Block {
    files: Vec<(PathBuf, u64, u64)>,
    size: u64,
}

/// How long it takes to read, hash and compress all files below a folder on all CPUs. Nothing is written, and hashes
/// and archives of single blocks are not put together: no layer can be made in less time.
pub(crate) fn copy(folder: &Path) -> Duration {
    let begun = Instant::now();
    let mut blocks = vec![Block::default()];
    collect(folder, &mut blocks).expect("a context");
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, Into::into);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let level = CompressionLvl::new(LEVEL).expect("a level");
                let mut compressor = Compressor::new(level);
                let (mut content, mut packed) = (Vec::new(), Vec::new());
                while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    block.read(&mut content).expect("readable");
                    std::hint::black_box(Sha256::digest(&content));
                    packed.resize(compressor.gzip_compress_bound(content.len()), 0);
                    let size = compressor.gzip_compress(&content, &mut packed).expect("compressed");
                    std::hint::black_box(Sha256::digest(&packed[..size]));
                }
            });
        }
    });
    begun.elapsed()
}

/// Reads all files below a folder.
pub(crate) fn read(folder: &Path) {
    let mut blocks = Vec::new();
    collect(folder, &mut blocks).expect("a context");
    let mut content = Vec::new();
    for block in blocks {
        block.read(&mut content).expect("readable");
    }
}

/// How long this machine's busybox counts when nothing is around it.
pub(crate) fn count(busybox: &Path, to: u64) -> Duration {
    let begun = Instant::now();
    let status = Command::new(busybox).args(["sh", "-c", &counting(to)]).status();
    assert!(status.expect("busybox runs").success());
    begun.elapsed()
}

/// How far it counts in this time.
pub(crate) fn count_within(busybox: &Path, time: Duration) -> u64 {
    const TRIAL: u32 = 200_000;
    let of_trial = count(busybox, u64::from(TRIAL)).min(count(busybox, u64::from(TRIAL)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
    let count = (f64::from(TRIAL) * time.as_secs_f64() / of_trial.as_secs_f64()) as u64;
    count
}

fn collect(folder: &Path, blocks: &mut Vec<Block>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), blocks)?;
            continue;
        }
        let size = entry.metadata()?.len();
        let mut start = 0;
        while start < size {
            let full = blocks.last().is_none_or(|block| block.size >= BLOCK);
            if full {
                blocks.push(Block::default());
            }
            let Some(block) = blocks.last_mut() else { continue };
            let part = (size - start).min(BLOCK - block.size);
            block.files.push((entry.path(), start, part));
            block.size += part;
            start += part;
        }
    }
    Ok(())
}

impl Block {
    fn read(&self, content: &mut Vec<u8>) -> io::Result<()> {
        content.clear();
        for (path, start, size) in &self.files {
            let mut file = File::open(path)?;
            if *start != 0 {
                file.seek(io::SeekFrom::Start(*start))?;
            }
            file.take(*size).read_to_end(content)?;
        }
        Ok(())
    }
}

//! Archives that become very much larger than they are.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use polyarch::{archive::Limits, oci::digest_of};

use super::Yard;
use crate::support::{
    command::is_root,
    images::{Layer, MEBIBYTE, bomb, gzip, image, zstd},
};

/// What comes out of each bomb, in MiB.
const HOLDS: usize = 128;
/// The most of it that may be on the disk at any time, in bytes.
const MOST: u64 = 32 * MEBIBYTE as u64;

/// The usual limits, but so small that an unoptimised program comes to them soon.
const LIMITS: Limits = Limits { allowance: 2 * MEBIBYTE as u64, ratio: 20, ..Limits::USUAL };

/// The bytes that the files below a folder take, and those that some process has open there and nobody can see.
fn on_disk(folder: &Path) -> u64 {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.blocks() * 512);
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => bytes += size(&entry.path()),
                _ => {}
            }
        }
    }
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        for open in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let target = fs::read_link(open.path()).unwrap_or_default();
            let is_hidden = target.to_string_lossy().ends_with(" (deleted)");
            bytes += if is_hidden && target.starts_with(folder) { size(&open.path()) } else { 0 };
        }
    }
    bytes
}

/// Runs something, and says how much more there was on the disk meanwhile than before, at most.
fn most_on_disk<T>(folder: &Path, run: impl FnOnce() -> T) -> (T, u64) {
    let before = on_disk(folder);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = before;
            while !done.load(Ordering::Relaxed) {
                most = most.max(on_disk(folder));
                thread::sleep(Duration::from_millis(2));
            }
            most
        });
        let ended = run();
        done.store(true, Ordering::Relaxed);
        (ended, watching.join().expect("watched") - before)
    })
}

#[test]
fn bombs_are_refused_while_they_are_read_wherever_they_are() {
    if !is_root() {
        return;
    }
    let yard = Yard::within(LIMITS);
    let context = yard.path().join("context");
    fs::create_dir_all(&context).expect("a context");
    fs::copy("/bin/busybox", context.join("busybox")).expect("busybox");
    for (kind, compress) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        let blob = bomb(b'x', HOLDS, compress);
        assert!(blob.len() < MEBIBYTE, "{kind}: it is no bomb");
        fs::write(context.join("bomb"), &blob).expect("written");
        let evil = image(&yard.store, &[Layer { blob, diff_id: digest_of(kind.as_bytes()) }]);
        for dockerfile in [
            "FROM evil\nCOPY busybox /\nRUN [\"/busybox\", \"true\"]\n",
            "FROM scratch\nCOPY --from=evil /file /f\n",
            "FROM scratch\nADD bomb /x/\n",
        ] {
            let begun = Instant::now();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let build = || runtime.block_on(yard.with(&evil, dockerfile));
            let (built, written) = most_on_disk(yard.path(), build);
            let error = built.expect_err(dockerfile).to_string();
            assert!(error.contains("it holds more than 20 times its own size"), "{kind}: {error}");
            assert!(written < MOST, "{kind} {dockerfile:?}: {written} bytes");
            assert!(begun.elapsed() < Duration::from_mins(1), "{kind}: {:?}", begun.elapsed());
            assert!(on_disk(yard.path()) < MOST / 2, "{kind} {dockerfile:?}: it stays");
        }
    }
}

#[test]
fn as_many_zeros_are_no_bomb() {
    if !is_root() {
        return;
    }
    let yard = Yard::within(LIMITS);
    let context = yard.path().join("context");
    fs::create_dir_all(&context).expect("a context");
    fs::write(context.join("zeros"), bomb(0, 16, gzip)).expect("written");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(yard.build(yard.request("FROM scratch\nADD zeros /x/\n", None))).expect("added");
}

//! What is large but honest takes little memory.

use std::{fs, path::Path};

use crate::support::{
    command::{Desk, is_root},
    peaks::watch,
};

/// The most that the orchestrator and its helpers may have at once, each, in KiB, however large the build.
const MOST: u64 = 200 << 10;

/// Builds with the native engine, and checks how much memory that takes.
fn build(desk: &Desk, most: u64, dockerfile: &str) {
    fs::write(desk.path("app/Dockerfile"), dockerfile).expect("written");
    let command = desk.begin("log", ["build", "-q", "--backend", "sandbox", "app"]);
    let (status, peaks) = watch(command);
    assert!(status.success(), "{status}");
    assert!(peaks.len() > usize::from(dockerfile.contains("RUN")), "{peaks:?}");
    assert!(peaks.values().all(|peak| *peak < most), "{peaks:?}");
}

/// A layer by COPY, its files by COPY --from, and itself below a RUN.
fn all_ways(desk: &Desk, most: u64) {
    fs::copy("/bin/busybox", desk.path("app/busybox")).expect("busybox");
    let large = "FROM scratch AS large\nCOPY data /data\nCOPY busybox /busybox\n";
    build(desk, most, large);
    build(desk, most, &format!("{large}FROM scratch\nCOPY --from=large /data /copy\n"));
    build(desk, most, &format!("{large}RUN [\"/busybox\", \"touch\", \"/data/new\"]\n"));
}

fn desk(files: impl FnOnce(&Path)) -> Desk {
    let desk = Desk::new();
    let data = desk.path("app/data");
    fs::create_dir_all(&data).expect("a context");
    files(&data);
    desk
}

fn of_zeros(size: u64) -> Desk {
    desk(|data| {
        let file = fs::File::create(data.join("zeros")).expect("a file");
        file.set_len(size).expect("a hole");
    })
}

fn of_files(count: usize) -> Desk {
    desk(|data| {
        for folder in 0..count / 100 {
            let folder = data.join(format!("a-folder-of-some-name-{folder}"));
            fs::create_dir(&folder).expect("a folder");
            for file in 0..100 {
                fs::write(folder.join(format!("a-file-of-some-name-{file}")), "x").expect("written");
            }
        }
    })
}

#[test]
fn what_a_layer_of_many_files_takes_is_what_is_known_of_them() {
    if is_root() {
        all_ways(&of_files(10_000), MOST / 2);
    }
}

#[test]
fn a_layer_takes_less_memory_than_it_has_bytes() {
    if is_root() {
        all_ways(&of_zeros(96 << 20), 64 << 10);
    }
}

/// The same with as much as no unoptimised program gets through in the time that a test has.
#[test]
#[ignore = "it takes minutes; run it with --release"]
fn layers_of_a_hundred_thousand_files_or_ten_gigabytes_take_little_memory() {
    all_ways(&of_files(100_000), MOST);
    all_ways(&of_zeros(10 << 30), MOST);
}

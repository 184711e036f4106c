use std::{fs, io::Read as _};

use flate2::read::MultiGzDecoder;

use super::*;
use crate::oci::layer::{Level, Mtime};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    (folder, store)
}

/// What a directory of the store holds, but for the lock.
fn leftovers(store: &Store) -> Vec<String> {
    let mut names = Vec::new();
    // Wine does not list the folders that processes hold.
    let folders: &[&str] = if cfg!(windows) { &["blobs/sha256"] } else { &["blobs/sha256", "tmp"] };
    for folder in folders {
        for entry in walk(&store.root().join(folder)) {
            names.extend((!entry.ends_with("lock")).then_some(entry));
        }
    }
    names
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] })
        .collect()
}

fn options(compression: Compression, threads: usize) -> LayerOptions {
    LayerOptions { compression, threads: NonZero::new(threads), ..LayerOptions::default() }
}

fn entry<'e>(name: &'e str, kind: EntryKind<'e>) -> LayerEntry<'e> {
    LayerEntry {
        name: name.as_bytes(),
        kind,
        mode: 0o640,
        uid: 1000,
        gid: 100,
        mtime: 1_700_000_000,
        xattrs: &[],
    }
}

fn append_file(writer: &mut LayerWriter, name: &str, content: &[u8]) {
    let kind = EntryKind::File { size: content.len() as u64 };
    writer.append(&entry(name, kind), content).expect("appended");
}

/// Bytes that compress to about a half, so that blocks are of different sizes.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 30 == 0 { b' ' } else { (state >> 24).to_le_bytes()[0] & 0x3f }
    };
    (0..length).map(|_| next()).collect()
}

/// The archive in a layer.
fn archive(store: &Store, layer: &Layer) -> Vec<u8> {
    let mut blob = Vec::new();
    store.open_blob(&layer.digest).expect("a blob").read_to_end(&mut blob).expect("read");
    assert_eq!(blob.len() as u64, layer.size);
    assert_eq!(crate::oci::digest_of(&blob), layer.digest);
    let archive = match layer.media_type.rsplit('+').next() {
        Some("gzip") => {
            let mut archive = Vec::new();
            MultiGzDecoder::new(&*blob).read_to_end(&mut archive).expect("gzip");
            archive
        }
        Some("zstd") => zstd::stream::decode_all(&*blob).expect("zstd"),
        _ => blob,
    };
    assert_eq!(crate::oci::digest_of(&archive), layer.diff_id);
    assert_eq!(archive.len() as u64, layer.uncompressed_size);
    archive
}

/// `mode uid:gid mtime name content-length`, or `-> target`.
fn listing(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("entries");
    entries
        .map(|entry| {
            let mut entry = entry.expect("readable");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            let header = entry.header();
            let number = |number: std::io::Result<u64>| number.expect("a number");
            let link = entry.link_name_bytes().filter(|name| !name.is_empty());
            let rest = link
                .map_or(content.len().to_string(), |name| format!("-> {}", String::from_utf8_lossy(&name)));
            format!(
                "{:o} {}:{} {} {} {rest}",
                header.mode().expect("a mode"),
                number(header.uid()),
                number(header.gid()),
                number(header.mtime()),
                String::from_utf8_lossy(&entry.path_bytes()),
            )
        })
        .collect()
}

#[test]
fn what_is_appended_is_what_the_layer_holds() {
    let (_folder, store) = store();
    let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
    writer.append(&entry("dir", EntryKind::Directory), io::empty()).expect("appended");
    append_file(&mut writer, "dir/file", b"hello");
    append_file(&mut writer, "dir/block", &[b'x'; 512]);
    writer
        .append(&entry("dir/hard", EntryKind::HardLink { target: b"dir/file" }), io::empty())
        .expect("appended");
    writer.append(&entry("soft", EntryKind::Symlink { target: b"../dir" }), io::empty()).expect("appended");
    writer.whiteout(b"dir/gone").expect("appended");
    writer.whiteout(b"top").expect("appended");
    writer.opaque(b"dir/fresh").expect("appended");
    let layer = writer.finish().expect("a layer");
    assert_eq!(layer.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(
        listing(&archive(&store, &layer)),
        [
            "640 1000:100 1700000000 dir/ 0",
            "640 1000:100 1700000000 dir/file 5",
            "640 1000:100 1700000000 dir/block 512",
            "640 1000:100 1700000000 dir/hard -> dir/file",
            "777 1000:100 1700000000 soft -> ../dir",
            "0 0:0 0 dir/.wh.gone 0",
            "0 0:0 0 .wh.top 0",
            "0 0:0 0 dir/fresh/.wh..wh..opq 0",
        ]
    );
}

#[test]
fn a_policy_rules_over_every_entry_but_deletions() {
    let (_folder, store) = store();
    let policies = [
        (Policy { uid: Some(7), gid: Some(8), mode: Some(0o4755), mtime: Mtime::AtMost(5) }, "4755 7:8 5"),
        (Policy { mtime: Mtime::Exactly(2_000_000_000), ..Policy::default() }, "640 1000:100 2000000000"),
        (Policy { mtime: Mtime::AtMost(2_000_000_000), ..Policy::default() }, "640 1000:100 1700000000"),
    ];
    for (policy, expected) in policies {
        let options = LayerOptions { policy, ..options(Compression::None, 1) };
        let mut writer = LayerWriter::new(&store, options).expect("a writer");
        append_file(&mut writer, "file", b"");
        writer.append(&entry("link", EntryKind::Symlink { target: b"file" }), io::empty()).expect("appended");
        writer.whiteout(b"gone").expect("appended");
        let layer = writer.finish().expect("a layer");
        let (_, rest) = expected.split_once(' ').expect("two");
        assert_eq!(
            listing(&archive(&store, &layer)),
            [format!("{expected} file 0"), format!("777 {rest} link -> file"), "0 0:0 0 .wh.gone 0".into()]
        );
    }
}

/// Gives a few bytes at a time, as a pipe may.
struct Trickle<'b>(&'b [u8]);
impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(70_001).min(self.0.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_on_how_a_file_is_read() {
    let (_folder, store) = store();
    let content = content(9 << 20);
    for compression in [Compression::None, Compression::default(), Compression::Zstd(Level::ZSTD)] {
        let mut layers = Vec::new();
        for threads in [1, 2, 3, 8, 40] {
            let mut writer = LayerWriter::new(&store, options(compression, threads)).expect("a writer");
            append_file(&mut writer, "small", b"hello");
            let kind = EntryKind::File { size: content.len() as u64 };
            if threads % 2 == 0 {
                writer.append(&entry("large", kind), Trickle(&content)).expect("appended");
            } else {
                writer.append(&entry("large", kind), &*content).expect("appended");
            }
            layers.push(writer.finish().expect("a layer"));
        }
        let archive = archive(&store, &layers[0]);
        assert_eq!(archive.len(), 3 * 512 + content.len() + 1024);
        assert!(layers.iter().all(|layer| *layer == layers[0]), "{layers:?}");
    }
}

#[test]
fn layers_that_end_at_or_near_the_end_of_a_block_are_whole() {
    let (_folder, store) = store();
    for compression in [Compression::None, Compression::default()] {
        for over in [0, 512, 1024, 1536, 2048] {
            let length = (2 << 20) - 512 - 1024 + over - 512;
            let mut writer = LayerWriter::new(&store, options(compression, 2)).expect("a writer");
            append_file(&mut writer, "file", &content(length));
            let layer = writer.finish().expect("a layer");
            let archive = archive(&store, &layer);
            assert_eq!(archive.len(), 512 + length + 1024);
            assert_eq!(listing(&archive), [format!("640 1000:100 1700000000 file {length}")]);
        }
    }
    let empty = LayerWriter::new(&store, options(Compression::None, 2)).expect("a writer");
    assert_eq!(archive(&store, &empty.finish().expect("a layer")), vec![0; 1024]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named_and_leaves_nothing() {
    let (_folder, store) = store();
    for (length, expected) in [
        (2_999_999, "etc/x became shorter while it was read: 2999999 bytes instead of 3000000"),
        (3_000_001, "etc/x became longer than 3000000 bytes while it was read"),
    ] {
        let mut writer = LayerWriter::new(&store, options(Compression::default(), 2)).expect("a writer");
        let kind = EntryKind::File { size: 3_000_000 };
        let error = writer.append(&entry("etc/x", kind), &*content(length)).expect_err("changed");
        assert_eq!(error.to_string(), expected);
        assert!(matches!(
            writer.append(&entry("y", EntryKind::Directory), io::empty()),
            Err(LayerError::Broken)
        ));
        assert!(matches!(writer.finish(), Err(LayerError::Broken)));
        assert_eq!(leftovers(&store), [""; 0]);
    }
}

#[test]
fn a_cancelled_layer_stops_between_reads_and_leaves_nothing() {
    /// A file without end, which is cancelled while it is read.
    struct Endless(CancellationToken, u32);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            assert!(self.1 < 1000, "it goes on");
            if self.1 == 100 {
                self.0.cancel();
            }
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }
    let (_folder, store) = store();
    let cancel = CancellationToken::new();
    let options = LayerOptions { cancel: cancel.clone(), ..options(Compression::default(), 2) };
    let mut writer = LayerWriter::new(&store, options).expect("a writer");
    let kind = EntryKind::File { size: u64::MAX };
    let error = writer.append(&entry("endless", kind), Endless(cancel, 0)).expect_err("cancelled");
    assert!(matches!(error, LayerError::Cancelled), "{error}");
    drop(writer);
    assert_eq!(leftovers(&store), [""; 0]);
}

#[test]
fn a_read_that_fails_names_the_file() {
    struct Bad;
    impl Read for Bad {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let (_folder, store) = store();
    let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
    let error = writer.append(&entry("etc/shadow", EntryKind::File { size: 1 }), Bad).expect_err("refused");
    assert_eq!(error.to_string(), "cannot read etc/shadow");
}

#[test]
fn names_that_lead_elsewhere_or_mean_something_else_are_refused() {
    let (_folder, store) = store();
    for name in
        ["", "/etc", "a/../b", "./a", "a//b", "a/", "..", "a\0b", "a/.wh.b", ".wh..wh..opq", ".wh.x/y"]
    {
        let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
        let refused = writer.append(&entry(name, EntryKind::Directory), io::empty());
        assert!(matches!(refused, Err(LayerError::Name { .. })), "{name:?}");
        let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
        let kind = EntryKind::HardLink { target: name.as_bytes() };
        assert!(
            matches!(writer.append(&entry("x", kind), io::empty()), Err(LayerError::Name { .. })),
            "{name:?}"
        );
        let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
        assert!(matches!(writer.whiteout(name.as_bytes()), Err(LayerError::Name { .. })), "{name:?}");
    }
    for target in ["", "a\0b"] {
        let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
        let kind = EntryKind::Symlink { target: target.as_bytes() };
        assert!(
            matches!(writer.append(&entry("x", kind), io::empty()), Err(LayerError::Name { .. })),
            "{target:?}"
        );
    }
    let xattrs = [(b"user.a=b".to_vec(), Vec::new())];
    let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
    let odd = LayerEntry { xattrs: &xattrs, ..entry("x", EntryKind::Directory) };
    assert!(matches!(writer.append(&odd, io::empty()), Err(LayerError::Name { .. })));
}

#[test]
fn a_store_that_cannot_be_written_to_ends_the_layer_with_its_error() {
    let (_folder, store) = store();
    let mut writer = LayerWriter::new(&store, options(Compression::None, 1)).expect("a writer");
    append_file(&mut writer, "file", &content(3 << 20));
    fs::remove_dir_all(store.root().join("blobs")).expect("removed");
    let error = writer.finish().expect_err("no place to go");
    assert!(matches!(error, LayerError::Store(_)), "{error}");
}

#[test]
fn a_full_disk_stops_the_reader_too() {
    // A store on a device with no room needs privileges; without them there is nothing to look at.
    let folder = tempfile::tempdir().expect("a folder");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "polyarch-test"])
        .arg(folder.path())
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    let store = Store::open(folder.path().join("store")).expect("a store");
    let mut writer = LayerWriter::new(&store, options(Compression::None, 1)).expect("a writer");
    let kind = EntryKind::File { size: 1 << 40 };
    let error = writer.append(&entry("large", kind), io::repeat(b'x')).expect_err("full");
    assert!(matches!(&error, LayerError::Store(error) if error.is_full()), "{error:?}");
    drop(writer);
    assert_eq!(leftovers(&store), [""; 0]);
    drop(store);
    std::process::Command::new("umount").arg(folder.path()).status().expect("unmounted");
}

/// A layer of 400 files, one of which has another length when `changed`.
fn many(store: &Store, compression: Compression, changed: bool, reuse: Option<Arc<Reusable>>) -> Layer {
    let mut writer =
        LayerWriter::new(store, LayerOptions { reuse, ..options(compression, 2) }).expect("a layer");
    let bytes = content(40_000);
    for number in 0..400 {
        let length = if changed && number == 150 { 123 } else { 7_000 + number * 17 };
        append_file(&mut writer, &format!("folder/{number:04}"), &bytes[number..number + length]);
    }
    writer.finish().expect("a layer")
}

#[test]
fn a_change_in_the_middle_leaves_most_blocks_as_they_were() {
    let (_folder, store) = store();
    for compression in [Compression::default(), Compression::Zstd(Level::ZSTD)] {
        let before = many(&store, compression, false, None);
        let fresh = many(&store, compression, true, None);
        let blob = store.open_blob(&before.digest).expect("a blob");
        let reuse = Arc::new(Reusable::new(blob, &before.blocks));
        let again = many(&store, compression, true, Some(reuse));
        // Whether blocks were used again must not show.
        assert_eq!(again, fresh);
        let known = fresh.blocks.0.iter().filter(|block| before.blocks.0.contains(block)).count();
        let all = fresh.blocks.0.len();
        assert!(all >= 6 && known + 3 >= all, "{known} of {all}");
    }
}

#[test]
fn a_blob_that_was_damaged_is_not_used_again() {
    let (folder, store) = store();
    let before = many(&store, Compression::default(), false, None);
    let path = store.blob_path(&before.digest);
    let mut bytes = fs::read(&path).expect("a blob");
    for at in (0..bytes.len()).step_by(1000) {
        bytes[at] ^= 1;
    }
    fs::remove_file(&path).expect("removed");
    let damaged = folder.path().join("damaged");
    fs::write(&damaged, &bytes).expect("damaged");
    let reuse = Reusable::new(fs::File::open(&damaged).expect("a blob"), &before.blocks);
    assert_eq!(many(&store, Compression::default(), false, Some(Arc::new(reuse))), before);
}

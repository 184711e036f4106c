use std::io;

use super::*;

#[test]
fn a_layer_keeps_everything_but_times_that_are_too_late() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let mut writer = LayerWriter::new(&store, LayerOptions::default()).expect("a writer");
    let xattrs = [(b"user.a".to_vec(), b"1".to_vec())];
    let entry = |name: &'static [u8], kind, mtime| LayerEntry {
        name,
        kind,
        mode: 0o640,
        uid: 7,
        gid: 8,
        mtime,
        xattrs: &[],
    };
    let with_xattrs = LayerEntry { xattrs: &xattrs, ..entry(b"d/late", EntryKind::File { size: 4 }, 900) };
    writer.append(&entry(b"d", EntryKind::Directory, 100), io::empty()).expect("written");
    writer.append(&with_xattrs, &b"text"[..]).expect("written");
    for (name, kind) in [
        (&b"d/link"[..], EntryKind::HardLink { target: b"d/late" }),
        (b"d/symlink", EntryKind::Symlink { target: b"/x" }),
        (b"d/pipe", EntryKind::Fifo),
        (b"d/null", EntryKind::CharDevice { major: 1, minor: 3 }),
    ] {
        writer.append(&entry(name, kind, 50), io::empty()).expect("written");
    }
    writer.whiteout(b"d/gone").expect("written");
    writer.opaque(b"e").expect("written");
    let old = writer.finish().expect("a layer");

    let cancel = CancellationToken::new();
    let later = |latest| is_later(&store, &old.digest, latest, &cancel).expect("read");
    assert_eq!((later(899), later(900)), (true, false));
    let new = layer(&store, &old.digest, 500, Compression::None, &cancel).expect("a layer");
    let members = |digest: &Digest| {
        let source = decompress(store.open_blob(digest).expect("a blob")).expect("an archive");
        let mut archive = Archive::new(source);
        let mut all = Vec::new();
        while let Some(member) = archive.next_member().expect("read") {
            let text = io::read_to_string(&mut archive).expect("read");
            all.push((member, text));
        }
        all
    };
    let mut expected = members(&old.digest);
    for (member, _) in &mut expected {
        member.modified = member.modified.min(500);
    }
    assert_eq!(members(&new.digest), expected);
}

use std::{
    fs,
    io::Read as _,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::*;
use crate::context::{Ignore, Node, Tree, select};

/// `name/` is a directory, `name -> target` a symbolic link, `name = text` a file; parents are made.
fn make(folder: &Path, lines: &[&str]) {
    for line in lines {
        if let Some((name, target)) = line.split_once(" -> ") {
            fs::create_dir_all(folder.join(name).parent().expect("a parent")).expect("made");
            symlink(target, folder.join(name)).expect("linked");
        } else if line.ends_with('/') {
            fs::create_dir_all(folder.join(line)).expect("made");
        } else {
            let (name, text) = line.split_once(" = ").unwrap_or((line, ""));
            fs::create_dir_all(folder.join(name).parent().expect("a parent")).expect("made");
            fs::write(folder.join(name), text).expect("written");
        }
    }
}

fn context(lines: &[&str], ignore: &str) -> (tempfile::TempDir, Context) {
    let folder = tempfile::tempdir().expect("a folder");
    make(folder.path(), lines);
    let ignore = Ignore::parse(ignore.as_bytes()).expect("readable");
    let context = Context::open(folder.path(), ignore).expect("opens");
    (folder, context)
}

fn paths(context: &Context, from: &str) -> Option<String> {
    let entries = context.walk(&RelPath::clean(from.as_bytes())).expect("walks")?;
    Some(entries.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>().join(" "))
}

fn entry(context: &Context, path: &str) -> Entry {
    let entries = context.walk(&RelPath::clean(path.as_bytes())).expect("walks").expect("there");
    entries.into_iter().next().expect("an entry")
}

#[test]
fn entries_come_parents_first_and_sorted_by_bytes() {
    let (_folder, context) = context(&["b/x", "b.c", "b/a/z", "B", "é", "a -> b"], "");
    assert_eq!(paths(&context, "").as_deref(), Some(". B a b b/a b/a/z b/x b.c é"));
    assert_eq!(paths(&context, "b/a").as_deref(), Some("b/a b/a/z"));
    assert_eq!(paths(&context, "b/x").as_deref(), Some("b/x"));
    assert_eq!(paths(&context, "none"), None);
    assert_eq!(paths(&context, "b.c/x"), None);
    assert_eq!(paths(&context, "a/x"), None, "no walk begins behind a symbolic link");
}

#[test]
fn what_is_ignored_is_left_out_but_for_the_way_to_what_is_not() {
    let files =
        ["docs/README.md", "docs/more/a.md", "docs/more/b.txt", "docs/none/c.txt", "src/main.c", "log"];
    let (_folder, context) = context(&files, "docs\nlog\n!docs/**/*.md\n");
    assert_eq!(
        paths(&context, "").as_deref(),
        Some(". docs docs/README.md docs/more docs/more/a.md src src/main.c")
    );
    assert_eq!(paths(&context, "docs/more").as_deref(), Some("docs/more docs/more/a.md"));
    assert_eq!(paths(&context, "docs/none"), None);
    assert_eq!(paths(&context, "log"), None);
    for (path, visible) in [("docs", true), ("docs/more", true), ("docs/none", false), ("log", false)] {
        let node = context.node(&RelPath::clean(path.as_bytes())).expect("readable");
        assert_eq!(node.is_some(), visible, "{path}");
    }
    let error = select(&context, b"log").expect_err("excluded").to_string();
    assert_eq!(error, "source \"log\" is excluded by \"log\", line 2 of the .dockerignore");
    let error = select(&context, b"docs/no.txt").expect_err("missing").to_string();
    assert_eq!(error, "source \"docs/no.txt\" not found", "what is not there is not excluded either");
}

#[test]
fn an_ignored_directory_that_nothing_brings_back_is_not_even_opened() {
    let (folder, context) = context(&["node_modules/x", "a"], "node_modules\n!*.md");
    let locked = folder.path().join("node_modules");
    // Looking into it would cost an access time on most file systems, and a failure for all but root here.
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o0)).expect("locked");
    let before = fs::metadata(&locked).expect("there").accessed().expect("a time");
    assert_eq!(paths(&context, "").as_deref(), Some(". a"));
    assert_eq!(fs::metadata(&locked).expect("there").accessed().expect("a time"), before);
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("unlocked");
}

#[test]
fn every_kind_of_file_is_told_and_sockets_are_left_out() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let (folder, context) = context(&["file = hello", "link -> ../out/\u{ff}", "dir/"], "");
    let path = |name: &str| folder.path().join(name);
    fs::set_permissions(path("file"), fs::Permissions::from_mode(0o4751)).expect("set");
    fs::hard_link(path("file"), path("twin")).expect("linked");
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("bound");
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "").expect("written");

    let entries = context.walk(&RelPath::root()).expect("walks").expect("there");
    let kinds: Vec<(&[u8], &Kind)> =
        entries.iter().skip(1).map(|entry| (entry.path.as_bytes(), &entry.kind)).collect();
    let target = "../out/\u{ff}".as_bytes().to_vec();
    assert_eq!(
        kinds,
        [
            (&b"dir"[..], &Kind::Directory),
            (b"file", &Kind::File),
            (b"link", &Kind::Symlink { target }),
            (b"pipe", &Kind::Fifo),
            (b"twin", &Kind::File),
            (b"\xff\xfe", &Kind::File),
        ]
    );
    let (file, twin) = (entry(&context, "file"), entry(&context, "twin"));
    let metadata = fs::metadata(path("file")).expect("there");
    assert_eq!((file.mode, file.links, file.stamp.size), (0o4751, 2, 5));
    assert_eq!((file.uid, file.gid), (metadata.uid(), metadata.gid()));
    assert_eq!(file.stamp.modified.seconds, metadata.mtime());
    assert_eq!(i64::from(file.stamp.changed.nanoseconds), metadata.ctime_nsec());
    assert_eq!(file.stamp, twin.stamp);
}

#[test]
fn a_file_that_changed_or_vanished_after_the_walk_is_named() {
    let (folder, context) = context(&["a = one", "b = one", "c = one", "d/e", "f = same"], "");
    let walked: Vec<Entry> = ["a", "b", "c", "d/e", "f"].map(|path| entry(&context, path)).to_vec();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a"), "longer").expect("written");
    fs::remove_file(path("b")).expect("removed");
    fs::remove_file(path("c")).expect("removed");
    symlink("/etc/passwd", path("c")).expect("linked");
    fs::rename(path("d"), path("moved")).expect("moved");
    symlink("moved", path("d")).expect("linked");
    let mut reader = context.reader();
    let failures = walked[..4].iter().map(|entry| reader.open(entry).expect_err("changed"));
    let told: Vec<String> = failures
        .map(|error| error.to_string().replace(&folder.path().display().to_string(), "CTX"))
        .collect();
    assert_eq!(
        told,
        [
            "a changed in the context CTX while it was read",
            "b vanished from the context CTX while it was read",
            "c changed in the context CTX while it was read",
            "d/e vanished from the context CTX while it was read",
        ]
    );
    let mut text = String::new();
    let mut file = reader.open(&walked[4]).expect("opens");
    file.read_to_string(&mut text).expect("read");
    assert_eq!(text, "same");
    reader.check(&walked[4], &file).expect("unchanged");
    fs::write(path("f"), "SAME").expect("written");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    file.set_modified(later).expect("set");
    reader.check(&walked[4], &file).expect_err("written to");
}

#[test]
fn a_pipe_that_took_a_files_place_does_not_block() {
    let (folder, context) = context(&["a = one"], "");
    let walked = entry(&context, "a");
    let path = folder.path().join("a");
    fs::remove_file(&path).expect("removed");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let (done, opened) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(context.reader().open(&walked).map(drop)));
    let opened = opened.recv_timeout(std::time::Duration::from_secs(20)).expect("it blocks");
    assert!(matches!(opened, Err(ContextError::Changed { .. })));
}

#[test]
fn a_directory_that_another_took_the_place_of_is_not_entered() {
    let (folder, context) = context(&["d/x", "other/secret"], "");
    let seen = entry(&context, "d");
    let path = |name: &str| folder.path().join(name);
    let root = context.open_directory(&RelPath::root()).expect("opens").expect("there");
    context.enter(&root, &name_of(b"d"), &seen).expect("still the same");
    fs::rename(path("d"), path("gone")).expect("moved");
    symlink("other", path("d")).expect("linked");
    assert!(matches!(context.enter(&root, &name_of(b"d"), &seen), Err(ContextError::Changed { .. })));
    fs::remove_file(path("d")).expect("removed");
    fs::rename(path("other"), path("d")).expect("moved");
    assert!(matches!(context.enter(&root, &name_of(b"d"), &seen), Err(ContextError::Changed { .. })));
    fs::rename(path("d"), path("other")).expect("moved");
    assert!(matches!(context.enter(&root, &name_of(b"d"), &seen), Err(ContextError::Vanished { .. })));
}

#[test]
fn a_hostile_process_that_swaps_a_directory_for_a_link_leads_no_walk_outside() {
    let outside = tempfile::tempdir().expect("a folder");
    make(outside.path(), &["secret/key"]);
    let (folder, context) = context(&["a/b/inside", "z"], "");
    let (real, link) = (folder.path().join("a/b"), folder.path().join("a/l"));
    symlink(outside.path().join("secret"), &link).expect("linked");
    let stop = AtomicBool::new(false);
    let inside = |path: &RelPath| !path.as_bytes().ends_with(b"key");
    let (whole, outside) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (cwd, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(cwd, &real, cwd, &link, flags).expect("swapped");
            }
        });
        let mut whole = 0;
        let mut outside = Vec::new();
        // Nothing here may panic, or the other thread would go on for ever.
        for _ in 0..3000 {
            match context.walk(&RelPath::root()) {
                Ok(Some(entries)) => {
                    whole += 1;
                    outside.extend(entries.into_iter().map(|entry| entry.path).find(|path| !inside(path)));
                }
                Err(ContextError::Changed { .. }) => {}
                other => outside.extend(other.is_err().then(RelPath::root)),
            }
            if let Ok(Some(through)) = context.open_directory(&RelPath::clean(b"a/b")) {
                let names = context.list(&through, &RelPath::root()).unwrap_or_default();
                let names = names.iter().map(|name| RelPath::clean(name.to_bytes()));
                outside.extend(names.into_iter().find(|path| !inside(path)));
            }
        }
        stop.store(true, Ordering::Relaxed);
        (whole, outside)
    });
    assert_eq!(outside, []);
    assert!(whole > 0);
}

#[test]
fn sources_on_disk_are_found_through_links_inside_and_not_outside() {
    let (folder, context) = context(&["real/file", "link -> real", "out -> ../../../../etc"], "");
    let found = select(&context, b"link/*").expect("selects");
    assert_eq!(found[0].path, RelPath::clean(b"real/file"));
    assert!(select(&context, b"out/passwd").is_err());
    make(folder.path(), &["etc/passwd"]);
    assert_eq!(select(&context, b"out/passwd").expect("inside")[0].path, RelPath::clean(b"etc/passwd"));
    assert_eq!(
        context.node(&RelPath::clean(b"out")).expect("a look"),
        Some(Node::Symlink(b"../../../../etc".into()))
    );
}

#[test]
fn a_tree_deeper_than_any_path_is_refused() {
    let (folder, context) = context(&[], "");
    let name = "d".repeat(250);
    let flags = rustix::fs::OFlags::DIRECTORY;
    let mut at = rustix::fs::open(folder.path(), flags, rustix::fs::Mode::empty()).expect("opened");
    for _ in 0..20 {
        rustix::fs::mkdirat(&at, &*name, 0o755.into()).expect("made");
        at = rustix::fs::openat(&at, &*name, flags, rustix::fs::Mode::empty()).expect("opened");
    }
    let error = context.walk(&RelPath::root()).expect_err("too deep");
    assert!(matches!(error, ContextError::Io { action: "enter", .. }), "{error}");
    drop(folder);
}

#[test]
fn extended_attributes_are_read_sorted() {
    let (folder, context) = context(&["a = one"], "");
    let path = folder.path().join("a");
    let flags = rustix::fs::XattrFlags::empty();
    let long = vec![b'x'; 3000];
    if rustix::fs::setxattr(&path, c"user.z", &long, flags).is_err() {
        // This file system has none.
        return;
    }
    rustix::fs::setxattr(&path, c"user.a", b"1\0\xff", flags).expect("set");
    let walked = entry(&context, "a");
    let mut reader = context.reader();
    let file = reader.open(&walked).expect("opens");
    let xattrs = reader.xattrs(&walked, &file).expect("readable");
    let ours: Vec<_> = xattrs.into_iter().filter(|(name, _)| name.starts_with(b"user.")).collect();
    assert_eq!(ours, [(b"user.a".to_vec(), b"1\0\xff".to_vec()), (b"user.z".to_vec(), long)]);
}

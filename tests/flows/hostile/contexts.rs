//! Contexts that mean harm, or change while they are read.

use std::{
    fs,
    io::Read as _,
    os::unix::{fs::symlink, net::UnixListener},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use polyarch::archive::{MemberKind, decompress};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::Yard;

#[test]
fn nothing_outside_is_read_whatever_is_swapped_meanwhile() {
    let yard = Yard::new();
    let (context, outside) = (yard.path().join("context"), yard.path().join("outside"));
    for folder in [&outside, &context, &context.join("data"), &context.join("data/deep")] {
        fs::create_dir_all(folder).expect("a folder");
    }
    fs::create_dir(outside.join("deep")).expect("a folder");
    // Of the same length and age, so that nothing but the place tells them apart.
    let secret = "the secret of this machine";
    let mine = "an honest file of the same";
    for (folder, text) in [(&outside, secret), (&context.join("data"), mine)] {
        for name in ["file", "deep/file"] {
            let path = folder.join(name);
            fs::write(&path, text).expect("written");
            let times = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
            fs::File::options().write(true).open(path).and_then(|file| file.set_times(times)).expect("times");
        }
    }
    symlink(&outside, context.join("out")).expect("linked");
    symlink(outside.join("file"), context.join("to-file")).expect("linked");
    let done = AtomicBool::new(false);
    let built = thread::scope(|scope| {
        scope.spawn(|| {
            let swap = |one: &str, other: &str| {
                let (one, other) = (context.join(one), context.join(other));
                let _ = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
            };
            while !done.load(Ordering::Relaxed) {
                for (one, other) in [("data", "out"), ("data/file", "to-file"), ("data/deep", "out")] {
                    swap(one, other);
                    thread::yield_now();
                    swap(one, other);
                }
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut built = 0;
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < Duration::from_secs(8) {
            number += 1;
            let dockerfile =
                format!("FROM scratch\nCOPY data /{number}/\nCOPY data/deep/fil? /{number}/f/\n");
            built += usize::from(runtime.block_on(yard.build(yard.request(&dockerfile, None))).is_ok());
        }
        done.store(true, Ordering::Relaxed);
        built
    });
    assert!(built > 0, "no build came through");
    // Whatever became of the builds, no blob of the store has it.
    for blob in fs::read_dir(yard.store.root().join("blobs/sha256")).expect("blobs").flatten() {
        let mut bytes = Vec::new();
        let mut reader = decompress(fs::File::open(blob.path()).expect("a blob")).expect("a reader");
        reader.read_to_end(&mut bytes).expect("read");
        assert!(!bytes.windows(secret.len()).any(|text| text == secret.as_bytes()), "{blob:?}");
    }
}

#[tokio::test]
async fn links_that_lead_out_find_nothing_and_what_is_no_file_is_not_opened() {
    let yard = Yard::new();
    let context = yard.path().join("context");
    fs::create_dir_all(context.join("odd")).expect("a folder");
    for (target, name) in [
        ("/etc/passwd", "absolute"),
        ("../../../../../etc/passwd", "climbing"),
        ("/proc/self/root/etc/passwd", "magic"),
    ] {
        symlink(target, context.join(name)).expect("linked");
        let request = yard.request(&format!("FROM scratch\nCOPY {name} /p\n"), None);
        let error = yard.build(request).await.expect_err(name).to_string();
        assert!(error.contains("not found"), "{error}");
    }
    mknodat(CWD, context.join("odd/pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let _socket = UnixListener::bind(context.join("odd/socket")).expect("a socket");
    symlink("/etc/passwd", context.join("odd/link")).expect("linked");
    let begun = Instant::now();
    let image = yard.build(yard.request("FROM scratch\nCOPY odd /odd/\n", None)).await.expect("copied");
    let kinds: Vec<MemberKind> = yard.top(&image).into_iter().map(|member| member.kind).collect();
    let link = MemberKind::Symlink(b"/etc/passwd".to_vec());
    assert_eq!(kinds, [MemberKind::Directory, link, MemberKind::Fifo]);
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn an_ignore_file_that_never_ends_is_not_read_to_its_end() {
    let yard = Yard::new();
    let ignore = yard.path().join("context/.dockerignore");
    let dockerfile = "FROM scratch\nCOPY a.txt /\n";
    yard.build(yard.request(dockerfile, None)).await.expect("without one");
    let begun = Instant::now();
    mknodat(CWD, &ignore, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    let error = yard.build(yard.request(dockerfile, None)).await.expect_err("a pipe").to_string();
    assert!(error.contains("cannot read the .dockerignore: it is no file"), "{error}");
    fs::remove_file(&ignore).expect("removed");
    fs::File::create(&ignore).and_then(|file| file.set_len(100 << 30)).expect("a hole");
    let error = yard.build(yard.request(dockerfile, None)).await.expect_err("endless").to_string();
    assert!(error.contains(".dockerignore, it has more than 4194304 bytes"), "{error}");
    fs::remove_file(&ignore).expect("removed");
    symlink("/dev/zero", &ignore).expect("linked");
    // A link that leads out is as good as none.
    yard.build(yard.request(dockerfile, None)).await.expect("nothing is ignored");
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}

//! Layers whose members, alone or together with those of other layers, lead somewhere else.

use std::fs;

use polyarch::{
    archive::MemberKind,
    session::{Step, StepLayer},
};

use super::Yard;
use crate::support::{
    images::{CHAR_DEVICE, DIRECTORY, FIFO, FILE, HARD_LINK, Layer, SYMLINK, Tar, image},
    session::Bench,
};

/// Chains of layers that try to reach the folder `outside`.
pub(super) fn tricks(outside: &str) -> Vec<Vec<Tar>> {
    let up = "../".repeat(30) + outside.trim_start_matches('/');
    let victim = format!("{outside}/victim");
    let new = Tar::new;
    vec![
        vec![new().link("a", outside), new().file("a/made", "x"), new().file("a/.wh.victim", "")],
        vec![new().link("a", &up), new().file("a/made", "x").file("a/.wh..wh..opq", "")],
        vec![
            new().member(DIRECTORY, "d", "", b"").file("d/f", "x"),
            new().link("d", outside),
            new().file("d/made", "x"),
        ],
        vec![new().link("l", &victim), new().member(HARD_LINK, "h", "l", b""), new().file("h", "x")],
        vec![new().link("l", &victim).member(HARD_LINK, "h", "l", b"").file("l", "x").file("h", "x")],
        vec![new().link("a", outside), new().link("b", "a"), new().file("b/victim", "x")],
        vec![new().link("a", outside), new().member(DIRECTORY, "a/victim", "", b"")],
        vec![new().link("a", outside), new().link("a/victim", "x")],
        vec![
            new().link("a", outside),
            new().member(FIFO, "a/pipe", "", b"").member(CHAR_DEVICE, "a/zero", "", b""),
        ],
        vec![new().link("a", outside), new().file("a", "x"), new().file(format!("{up}/made"), "x")],
        vec![new().file("f", "x"), new().file("f/under", "x").file("f", "y")],
        vec![
            new()
                .file("same", "1")
                .file("same", "2")
                .member(SYMLINK, "same", outside, b"")
                .file("same/made", "x"),
        ],
    ]
}

#[tokio::test]
async fn no_chain_of_layers_reaches_a_file_outside() {
    let Some(bench) = Bench::new() else { return };
    let yard = Yard::new();
    let outside = yard.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("victim"), "untouched").expect("written");
    let text = outside.to_str().expect("text");
    for (number, trick) in tricks(text).into_iter().enumerate() {
        let archives: Vec<Vec<u8>> = trick.into_iter().map(Tar::end).collect();
        let layers: Vec<Layer> = archives.iter().map(|archive| Layer::of(archive)).collect();
        let evil = image(&yard.store, &layers);
        // What the image has where the host has the victim is all that can be copied.
        let dockerfile = format!("FROM scratch\nCOPY --from=evil / /all/\nCOPY a.txt {text}/\n");
        let built = yard.with(&evil, &dockerfile).await;
        assert!(built.is_ok() || number == 10, "{number} {built:?}");
        let stolen = format!("FROM scratch\nCOPY --from=evil {text}/victim /v\n");
        if let Ok(image) = yard.with(&evil, &stolen).await {
            assert!(yard.top(&image).iter().all(|member| member.size != 9), "{number}");
        }
        let steps = archives.iter().map(|archive| {
            let digest = bench.store.put(archive).expect("stored");
            StepLayer { diff_id: digest.clone(), digest }
        });
        let layers = bench.base.iter().cloned().chain(steps).collect();
        let script = format!("cat {text}/victim; echo gone > {text}/victim; true");
        let (_, printed) = bench.run(Step { layers, ..bench.step(&script) }).await;
        assert!(!printed.contains("untouched"), "{number} {printed}");
        assert_eq!(fs::read_to_string(outside.join("victim")).expect("there"), "untouched", "{number}");
        assert_eq!(fs::read_dir(&outside).expect("list").count(), 1, "{number}");
    }
}

#[tokio::test]
async fn names_that_nobody_gives_are_refused_alike_by_copy_and_run() {
    let Some(bench) = Bench::new() else { return };
    let yard = Yard::new();
    let deep = "d/".repeat(600) + "f";
    for (archive, words) in [
        (Tar::new().file(".wh.", ""), "deletes nothing that can be named"),
        (Tar::new().file("a/.wh...", ""), "deletes nothing that can be named"),
        (Tar::new().file(".wh..", ""), "deletes nothing that can be named"),
        (Tar::new().file("n".repeat(256), ""), "a name is longer than any file system takes"),
        (Tar::new().file(&deep, ""), "a name is longer than any file system takes"),
        (Tar::new().member(HARD_LINK, "h", "nothing", b""), "h"),
        (Tar::new().member(b'S', "sparse", "", b""), "unknown kind"),
    ] {
        let archive = archive.file("file", "x").end();
        let evil = image(&yard.store, &[Layer::of(&archive)]);
        let error = yard.with(&evil, "FROM scratch\nCOPY --from=evil /file /f\n").await.expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
        let digest = bench.store.put(&archive).expect("stored");
        let odd = StepLayer { diff_id: digest.clone(), digest };
        let layers = bench.base.iter().cloned().chain([odd]).collect();
        let error = bench.run(Step { layers, ..bench.step("true") }).await.0.expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    }
    // Odd, but names all the same: neither text nor a line.
    let odd = [&b"new\nline"[..], b"\xff\xfe", b"\x1b[31m", &[b'n'; 255]];
    let archive = odd.iter().fold(Tar::new(), |tar, name| tar.file(name, "x")).end();
    let evil = image(&yard.store, &[Layer::of(&archive)]);
    let image = yard.with(&evil, "FROM scratch\nCOPY --from=evil / /\n").await.expect("copied");
    let names: Vec<Vec<u8>> = yard.top(&image).iter().map(|member| member.path.as_bytes().to_vec()).collect();
    assert!(odd.iter().all(|name| names.iter().any(|found| found == name)), "{names:?}");
}

#[tokio::test]
async fn devices_are_only_passed_on_and_programs_of_root_stay_where_nobody_looks() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(bench) = Bench::new() else { return };
    let yard = Yard::new();
    let archive = Tar::new().member(CHAR_DEVICE, "zero", "", b"").member(FIFO, "pipe", "", b"").end();
    let evil = image(&yard.store, &[Layer::of(&archive)]);
    let image = yard.with(&evil, "FROM scratch\nCOPY --from=evil / /\n").await.expect("copied");
    let kinds: Vec<MemberKind> = yard.top(&image).into_iter().map(|member| member.kind).collect();
    assert_eq!(kinds, [MemberKind::Fifo, MemberKind::CharDevice { major: 1, minor: 5 }]);
    let script = "cat /bin/busybox > /su; chmod 4755 /su; stat -c %a /su";
    assert_eq!(bench.script(&bench.base, script).await.1, "4755\n");
    let kept = fs::metadata(bench.store.root().join("backends/sandbox")).expect("a folder");
    assert_eq!(kept.permissions().mode() & 0o77, 0, "others could run it");
}

#[tokio::test]
async fn what_takes_the_memory_of_many_images_is_refused_on_the_way() {
    let yard = Yard::new();
    // Each of these names is 500 folders more, in a kilobyte.
    let deep = |number: usize| format!("{number}/{}f", "d/".repeat(500));
    let archive = (0..2200).fold(Tar::new(), |tar, number| tar.member(FILE, deep(number), "", b"")).end();
    let evil = image(&yard.store, &[Layer::of(&archive)]);
    let error = yard.with(&evil, "FROM scratch\nCOPY --from=evil /0 /f\n").await.expect_err("too much");
    assert!(error.to_string().contains("take more memory than those of any image"), "{error}");
}

//! Outputs that are files: folders and archives with the root file system of an image.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use polyarch::oci::Store;

use crate::support::{
    buildah::run,
    command::{Desk, Ended, is_root, ready},
    images::{CHAR_DEVICE, DIRECTORY, FIFO, HARD_LINK, Layer, SYMLINK, Tar, image},
};

const BOTH: &str = "linux/amd64,linux/arm64";
const HELLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello");

/// What is below a folder, each with its kind, mode and link or text.
fn listing(folder: &Path) -> Vec<String> {
    let found = run(Command::new("find").arg(".").args(["-printf", "%P %y %m %l\\n"]).current_dir(folder));
    let mut lines: Vec<String> =
        found.lines().map(str::to_owned).filter(|line| !line.starts_with(' ')).collect();
    lines.sort();
    lines
}

/// Arguments that build an image of two layers with everything that layers can say.
fn odd_image(desk: &Desk) -> Vec<String> {
    let store = Store::open(desk.path("base")).expect("a store");
    let below = Tar::new()
        .member(DIRECTORY, "etc", "", b"")
        .file("etc/keep", "keep")
        .file("etc/gone", "gone")
        .member(DIRECTORY, "old", "", b"")
        .file("old/x", "x")
        .file("old/y", "y")
        .link("out", "/tmp")
        .link("lib", "usr/lib")
        .member(DIRECTORY, "usr/lib", "", b"")
        .member(HARD_LINK, "kept", "etc/keep", b"")
        .member(CHAR_DEVICE, "null", "", b"")
        .member(FIFO, "pipe", "", b"");
    let above = Tar::new()
        .file("etc/.wh.gone", "")
        .file("old/.wh..wh..opq", "")
        .file("old/z", "z")
        .file("lib/so", "so")
        .member(SYMLINK, "late", "pipe", b"");
    let root = image(&store, &[Layer::of(&below.end()), Layer::of(&above.end())]);
    let names = store.lock_names().expect("a lock");
    names.set(&"base".parse().expect("a name"), &root).expect("named");
    let context = desk.context("app", "FROM base\nCOPY a.txt /\n");
    let base = format!("base=oci-layout://{}@{}", store.root().display(), root.digest);
    ["build", "--platform", "linux/amd64", "--build-context", &base, &context].map(str::to_owned).to_vec()
}

#[test]
fn a_folder_gets_the_files_of_each_platform() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    desk.ok(["build", "--platform", BOTH, "-o", "out/files", HELLO]);
    for architecture in ["amd64", "arm64"] {
        let folder = desk.path("out/files").join(format!("linux_{architecture}"));
        let notes = fs::read_to_string(folder.join("notes.txt")).expect("read");
        assert_eq!(notes, format!("This is the {architecture} variant.\n"));
    }
    assert_eq!(fs::metadata(desk.path("out/files")).expect("a folder").permissions().mode() & 0o777, 0o755);
    desk.ok(["build", "--platform", "linux/arm64", "-o", "one", HELLO]);
    assert!(desk.path("one/notes.txt").is_file(), "one platform needs no folder of its own");
    desk.ok(["build", "--platform", "linux/arm64", "-o", "type=local,dest=two,platform-split=true", HELLO]);
    assert!(desk.path("two/linux_arm64/notes.txt").is_file());
    desk.run(["build", "--platform", BOTH, "-o", "type=local,dest=three,platform-split=false", HELLO])
        .fails(1, &["is in the images of both linux/amd64 and linux/arm64"]);
    assert!(!desk.path("three").exists(), "something half-written stayed");
}

#[test]
fn a_folder_is_what_another_tool_unpacks() {
    if !ready() || !is_root() {
        return;
    }
    let desk = Desk::new();
    let build = odd_image(&desk);
    let with =
        |output: &str| build.iter().cloned().chain(["-o".into(), output.into()]).collect::<Vec<String>>();
    let ended = desk.run(with("out"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.says("1 devices of the image are not in");
    desk.ok(with("type=oci,dest=app.tar"));
    let theirs = desk.unpack(&format!("oci-archive:{}", desk.path("app.tar").display()), "amd64");
    let without =
        |lines: Vec<String>| lines.into_iter().filter(|line| !line.starts_with("null ")).collect::<Vec<_>>();
    assert_eq!(without(listing(&desk.path("out"))), without(listing(&theirs)));
    let inode = |name: &str| fs::metadata(desk.path("out").join(name)).expect(name).ino();
    assert_eq!(inode("kept"), inode("etc/keep"), "hard links are copies");
    assert_eq!(fs::metadata(desk.path("out/etc/keep")).expect("a file").mtime(), 7);

    // The archive has the same, and devices besides.
    desk.ok(with("type=tar,dest=root.tar"));
    fs::create_dir(desk.path("unpacked")).expect("a folder");
    run(Command::new("tar").arg("-xpf").arg(desk.path("root.tar")).arg("-C").arg(desk.path("unpacked")));
    let unpacked = listing(&desk.path("unpacked"));
    assert!(unpacked.contains(&"null c 755 ".to_owned()), "{unpacked:?}");
    assert_eq!(without(unpacked), without(listing(&theirs)));
    let printed = desk.run(with("-"));
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stdout == fs::read(desk.path("root.tar")).expect("read"), "the archives differ");
}

#[test]
fn owners_are_kept_in_an_archive_and_are_this_users_in_a_folder() {
    if !ready() || !is_root() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY --chown=1234:5678 --chmod=4750 a.txt /d/\n");
    desk.ok(["build", "-o", "out", "-o", "type=tar,dest=root.tar", &context]);
    let metadata = fs::metadata(desk.path("out/d/a.txt")).expect("a file");
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (0, 0, 0o4750));
    let listed = run(Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(desk.path("root.tar")));
    assert!(listed.contains("-rwsr-x--- 1234/5678"), "{listed}");
}

#[test]
fn what_is_in_a_folder_stays_and_no_link_in_it_leads_out() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    fs::create_dir_all(desk.path("out/etc")).expect("a folder");
    fs::create_dir(desk.path("elsewhere")).expect("a folder");
    fs::write(desk.path("out/etc/mine"), "mine").expect("written");
    fs::write(desk.path("out/a.txt"), "old").expect("written");
    fs::write(desk.path("elsewhere/victim"), "mine").expect("written");
    symlink(desk.path("elsewhere"), desk.path("out/var")).expect("a link");
    symlink(desk.path("elsewhere/victim"), desk.path("out/b.txt")).expect("a link");
    let context = desk.context(
        "app",
        "FROM scratch\nCOPY a.txt /\nCOPY a.txt /b.txt\nCOPY a.txt /etc/\nCOPY a.txt /var/lib/\n",
    );
    desk.ok(["build", "-o", "out", &context]);
    let read = |name: &str| fs::read_to_string(desk.path(name)).expect(name);
    assert_eq!((read("out/etc/mine").as_str(), read("out/a.txt").as_str()), ("mine", "hello\n"));
    assert_eq!((read("out/etc/a.txt").as_str(), read("out/var/lib/a.txt").as_str()), ("hello\n", "hello\n"));
    assert_eq!((read("out/b.txt").as_str(), read("elsewhere/victim").as_str()), ("hello\n", "mine"));
    assert_eq!(fs::read_dir(desk.path("elsewhere")).expect("list").count(), 1);
    assert_eq!(fs::read_dir(desk.path("out")).expect("list").count(), 4, "a temporary folder stayed");

    fs::remove_file(desk.path("out/a.txt")).expect("removed");
    fs::create_dir(desk.path("out/a.txt")).expect("a folder");
    fs::write(desk.path("out/a.txt/mine"), "mine").expect("written");
    desk.run(["build", "-o", "out", &context]).fails(1, &["out/a.txt is a directory that is not empty"]);
    assert_eq!(read("out/a.txt/mine"), "mine");
}

#[test]
fn files_get_the_time_of_the_source_date() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /d/\n");
    let arguments = ["build", "-o", "out", "-o", "type=tar,dest=root.tar", &context];
    let mut command = desk.command(arguments);
    let output = command.env("SOURCE_DATE_EPOCH", "1700000000").output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for path in ["out/d", "out/d/a.txt"] {
        assert_eq!(fs::metadata(desk.path(path)).expect(path).mtime(), 1_700_000_000, "{path}");
    }
    let listed = run(Command::new("tar").args(["--utc", "-tvf"]).arg(desk.path("root.tar")));
    assert!(listed.lines().all(|line| line.contains("2023-11-14 22:13")), "{listed}");
}

#[test]
fn a_docker_archive_is_read_by_other_tools_under_its_names() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let output = "type=docker,dest=app.tar,name=other:2";
    desk.ok(["build", "--platform", "linux/arm64", "-t", "app:1", "-o", output, HELLO]);
    for name in ["app:1", "other:2"] {
        let archive = format!("docker-archive:{}:{name}", desk.path("app.tar").display());
        let files = desk.unpack(&archive, "arm64");
        assert!(fs::read_to_string(files.join("notes.txt")).expect("read").contains("arm64"));
    }
    desk.run(["build", "--platform", BOTH, "-o", "type=docker,dest=two.tar", HELLO])
        .fails(2, &["holds one platform, and 2 are built"]);
}

#[test]
fn a_loaded_image_keeps_its_name() {
    if !ready() || !is_root() {
        return;
    }
    let desk = Desk::new();
    let root = desk.path("containers");
    let storage =
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = {root:?}\nrunroot = {:?}\n", desk.path("run"));
    fs::write(desk.path("storage.conf"), storage).expect("written");
    // buildah alone, whatever else is installed.
    let found = run(Command::new("sh").args(["-c", "command -v buildah"]));
    fs::create_dir(desk.path("bin")).expect("a folder");
    symlink(found.trim(), desk.path("bin/buildah")).expect("a link");
    let with = |program: &mut Command| {
        let program = program.env("PATH", desk.path("bin"));
        Ended::of(program.env("CONTAINERS_STORAGE_CONF", desk.path("storage.conf")))
    };
    let context = desk.context("app", "FROM scratch\nCOPY a.txt /\n");
    let build = ["build", "--backend", "sandbox", "--load", "-t", "loaded:1", &context];
    with(&mut desk.command(build)).success();
    let listed =
        with(Command::new(found.trim()).args(["images", "--format", "{{.Name}}:{{.Tag}}"])).success();
    // What buildah makes of a short name, its own builds' too.
    assert_eq!(listed.trim(), "localhost/loaded:1");
    fs::remove_file(desk.path("bin/buildah")).expect("removed");
    with(&mut desk.command(build)).fails(2, &["there is no docker, podman or buildah here"]);
}

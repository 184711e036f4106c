//! Mistakes in what a person gives: one clear sentence, an exit code, and nothing is left half done.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio};

use crate::support::{
    buildah::left_behind,
    command::{Desk, Ended, ready},
};

const DIGEST: &str = "app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const COPY: &str = "FROM scratch\nCOPY a.txt /a.txt\n";

/// Checks that a failed build has left nothing: no name, no temporary file, no output.
fn untouched(desk: &Desk) {
    assert_eq!(desk.names(), [""; 0]);
    assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new());
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
    for output in ["app.tar", "layout", "id"] {
        assert!(!desk.path(output).exists(), "{output}");
    }
}

/// Builds with every kind of result that could be left behind.
fn build(desk: &Desk, arguments: &[&str]) -> Ended {
    let results = [
        "-t",
        "app:1",
        "-o",
        "type=oci,dest=app.tar",
        "-o",
        "type=oci,dest=layout,tar=false",
        "--iidfile",
        "id",
    ];
    desk.run(["build"].iter().chain(&results).chain(arguments))
}

#[test]
fn a_missing_dockerfile_or_context_is_named() {
    let desk = Desk::new();
    fs::create_dir(desk.path("empty")).expect("a folder");
    build(&desk, &["empty"]).fails(3, &["no Dockerfile at empty/Dockerfile"]);
    build(&desk, &["-f", "gone/Docker file", "empty"]).fails(3, &["gone/Docker file"]);
    build(&desk, &["nowhere"]).fails(3, &["context nowhere does not exist"]);
    build(&desk, &["-f", "empty", "empty"]).fails(3, &["cannot read", "empty"]);
    let context = desk.context("app", COPY);
    build(&desk, &[&format!("{context}/a.txt")]).fails(3, &["app/a.txt is not a directory"]);
    desk.context("binary", b"FROM scratch\n\xff\xfe\n");
    build(&desk, &["binary"]).fails(3, &["cannot read", "binary/Dockerfile", "UTF-8"]);
    untouched(&desk);
}

#[test]
fn a_syntax_error_shows_the_line_with_a_caret() {
    let desk = Desk::new();
    for (dockerfile, words, caret) in [
        ("FROM scratch\nCOPYY a.txt /\n", &["Dockerfile:2", "did you mean COPY?"][..], "    │ ^^^^^"),
        ("FROM scratch\nCOPY a.txt\n", &["Dockerfile:2", "destination"], "    │ ^"),
        ("FROM scratch\nRUN <<END\nx\n", &["Dockerfile:2", "never closed"], "    │     ^^^"),
        ("RUN true\n", &["Dockerfile:1", "before the first FROM"], "    │ ^^^"),
        ("", &["no instruction"], "    │ ^"),
        ("FROM scratch AS a\nFROM a AS A\nCOPY --from=b a.txt /\n", &["Dockerfile:"], "    │"),
    ] {
        let context = desk.context("app", dockerfile);
        let ended = build(&desk, &[&context]);
        ended.fails(3, words);
        assert!(ended.stderr.lines().any(|line| line.starts_with(caret)), "{}", ended.stderr);
    }
    let mut command = desk.command(["build", "-f", "-", "app"]);
    let mut process = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("polyarch starts");
    process.stdin.take().expect("stdin").write_all(b"FROM scratch\nFORM x\n").expect("sent");
    let output = process.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("`FORM` is not an instruction; did you mean FROM?")
    );
    untouched(&desk);
}

#[test]
fn a_wrong_stage_or_option_is_refused_before_anything_runs() {
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    desk.context("other", COPY);
    for (code, options, words) in [
        (3, &["--target", "nope"][..], &["no stage `nope`"][..]),
        (2, &["--build-arg", "=x"], &["\"=x\""]),
        (2, &["--label", "x"], &["label \"x\"", "KEY=VALUE"]),
        (2, &["--annotation", "layer:a=b"], &["layer:a=b"]),
        (2, &["--annotation", "manifest[linux/s390x]:a=b"], &["linux/s390x", "not among"]),
        (3, &["--secret", "id=a,src=/no/such/file"], &["secret a", "/no/such/file"]),
        (2, &["--secret", "id=a,env=POLYARCH_NO_SUCH"], &["POLYARCH_NO_SUCH"]),
        (2, &["--build-context", "a"], &["NAME=DIR"]),
        (3, &["--build-context", "a=/no/such/folder"], &["/no/such/folder does not exist"]),
        (2, &["--tag", "UPPER"], &["UPPER", "lower-case"]),
        (2, &["--tag", "a:b:c"], &["a:b:c"]),
        (2, &["--tag", ""], &["empty"]),
        (2, &["--tag", DIGEST], &[DIGEST, "digest"]),
        (2, &["--push", "--output", "type=registry,dest=x"], &["dest"]),
        (2, &["--output", "type=nydus"], &["no output of type \"nydus\""]),
        (2, &["--output", "type=loca,dest=x"], &["did you mean local?"]),
        (2, &["--output", "type=local,dest=x,platform-spilt=true"], &["did you mean platform-split?"]),
        (2, &["--build-arg", "SOURCE_DATE_EPOCH=noon"], &["SOURCE_DATE_EPOCH=noon", "seconds"]),
        (2, &["--progress", "loud"], &["loud"]),
    ] {
        let ended = build(&desk, &[options, &[&context]].concat());
        ended.fails(code, words);
    }
    desk.run(["build", "--push", &context]).fails(2, &["no tag"]);
    desk.run(["tag", "app:1", DIGEST]).fails(2, &[DIGEST, "digest"]);
    desk.run(["manifest", "create", DIGEST]).fails(2, &[DIGEST, "digest"]);
    untouched(&desk);
}

#[test]
fn unknown_and_repeated_platforms_are_refused() {
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    for (platforms, words) in [
        ("linux/foo", &["\"foo\"", "amd64", "arm64"][..]),
        ("plan9/amd64", &["unknown OS: plan9 (expected linux or windows)"]),
        ("", &["invalid platform \"\""]),
        ("linux/amd64,", &["invalid platform \"\""]),
        ("linux/amd64/v1/x", &["linux/amd64/v1/x"]),
        ("linux/amd64,linux/arm64,linux/amd64", &["linux/amd64 is asked for twice"]),
        ("linux/arm64,linux/arm64/v8", &["linux/arm64 is asked for twice"]),
        ("linux/aarch64,linux/arm64", &["linux/arm64 is asked for twice"]),
        ("linux/arm,linux/arm/v7", &["linux/arm/v7 is asked for twice"]),
    ] {
        build(&desk, &["--platform", platforms, &context]).fails(2, words);
    }
    untouched(&desk);
}

#[test]
fn platforms_that_nobody_here_can_build_come_with_ways_out() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nRUN dir\n");
    let ended = build(&desk, &["--platform", "windows/amd64", &context]);
    ended.fails(5, &["no backend here can build windows/amd64", "buildah"]);
    ended.says("hint: do what RUN does in a stage that begins with FROM --platform=$BUILDPLATFORM");
    ended.says("app/Dockerfile:2");
    ended.says("RUN dir");
    let emulated = std::path::Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists();
    if !emulated && polyarch_actors::Platform::host_linux().arch() != "s390x" {
        // Without emulators that are installed but not registered.
        let mut command = desk.command(["build", "-t", "app:1", "--platform", "linux/s390x", &context]);
        let ended = Ended::of(command.env("PATH", desk.path("nothing")));
        ended.fails(5, &["no backend here can build linux/s390x", "sandbox"]);
        ended.says("hint: use a machine with that CPU, or register an emulator");
    }
    let host = polyarch_actors::Platform::host_linux();
    let other = if host.arch() == "arm64" { "linux/amd64" } else { "linux/arm64" };
    build(&desk, &["--emulation", "forbid", "--platform", other, &context]).fails(5, &[other]);
    untouched(&desk);
}

#[test]
fn an_unknown_backend_is_answered_with_the_known_ones() {
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    build(&desk, &["--backend", "docker", &context]).fails(2, &["unknown backend \"docker\"", "buildah"]);
    build(&desk, &["--builder", "docker", &context]).fails(2, &["unknown backend \"docker\""]);
    let mut command = desk.command(["build", "-t", "app:1", &context]);
    Ended::of(command.env("POLYARCH_BACKEND", "podman")).fails(2, &["unknown backend \"podman\"", "buildah"]);
    untouched(&desk);
}

#[test]
fn outputs_that_cannot_be_written_are_refused_before_the_build() {
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    fs::create_dir(desk.path("full")).expect("a folder");
    fs::write(desk.path("full/keep"), "mine").expect("written");
    for (options, words) in [
        (&["-o", "type=oci,dest=no/such/a.tar"][..], &["no/such", "does not exist"][..]),
        (&["-o", "type=oci,dest=full"], &["full", "is a directory"]),
        (&["-o", "type=oci,dest=full/keep,tar=false"], &["full/keep", "no directory"]),
        (&["-o", "type=oci,dest=full,tar=false"], &["full", "not empty"]),
        (&["-o", "full/keep"], &["full/keep", "no directory"]),
        (&["-o", "type=tar,dest=no/such/a.tar"], &["no/such", "does not exist"]),
        (&["--metadata-file", "no/such/m.json"], &["no/such", "does not exist"]),
        (&["--metadata-file", "full"], &["full", "is a directory"]),
    ] {
        build(&desk, &[options, &[&context]].concat()).fails(3, words);
    }
    assert_eq!(fs::read_to_string(desk.path("full/keep")).expect("read"), "mine");
    untouched(&desk);
}

#[test]
fn a_missing_source_is_named_with_its_instruction() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    let context = desk.context("app", "FROM scratch\nCOPY nothing.txt /\n");
    build(&desk, &["--platform", "linux/amd64,linux/arm64", &context]).fails(3, &["nothing.txt"]);
    untouched(&desk);
}

#[test]
fn a_store_that_cannot_be_used_is_named() {
    let desk = Desk::new();
    let context = desk.context("app", COPY);
    fs::write(desk.path("file"), "").expect("written");
    desk.run(["--store", "file", "images"]).fails(10, &["file"]);
    desk.run(["build", "--store", "/proc/store", &context]).fails(10, &["/proc/store"]);

    desk.ok(["images"]);
    let format = desk.store().join("polyarch.json");
    fs::write(&format, r#"{"format":99}"#).expect("written");
    let newer = &["format 99", "newer polyarch"];
    for command in
        [&["images"][..], &["backends"], &["build", "-t", "app:1", "app"], &["manifest", "create", "x"]]
    {
        desk.run(command).fails(10, newer);
    }
    assert_eq!(fs::read_to_string(&format).expect("read"), r#"{"format":99}"#);
    assert_eq!(desk.names(), [""; 0]);

    fs::create_dir(desk.path("locked")).expect("a folder");
    fs::set_permissions(desk.path("locked"), fs::Permissions::from_mode(0o500)).expect("changed");
    // Nothing is locked for root.
    if fs::create_dir(desk.path("locked/try")).is_err() {
        desk.run(["--store", "locked/store", "images"]).fails(10, &["locked/store"]);
    }
}

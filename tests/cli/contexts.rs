//! Every kind of context, from the command line to the files of the image.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use polyarch_actors::Platform;

use crate::support::{
    buildah::run,
    command::{Desk, Ended, ready},
    git::{GitServer, git},
    tools::require,
    web::Web,
};

const COPY: &str = "FROM scratch\nCOPY . /\n";

/// Builds with the file `input` as standard input.
fn build(desk: &Desk, out: &str, arguments: &[&str], input: Option<&str>) -> Ended {
    let output = format!("type=oci,dest={out},tar=false");
    let mut command = desk.command(["build", "-o", &output].iter().chain(arguments));
    if let Some(input) = input {
        command.stdin(File::open(desk.path(input)).expect("a file"));
    }
    Ended::of(&mut command)
}

/// The files of an image that must be built.
fn files(desk: &Desk, out: &str, arguments: &[&str], input: Option<&str>) -> PathBuf {
    build(desk, out, arguments, input).success();
    let layout = format!("oci:{}", desk.path(out).display());
    desk.unpack(&layout, Platform::host_linux().arch())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("list").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Packs the folder `name` as `tar` does with these options.
fn pack(desk: &Desk, name: &str, archive: &str, options: &[&str]) {
    let mut tar = Command::new("tar");
    tar.args(options).arg("-cf").arg(desk.path(archive)).arg("-C").arg(desk.path(name)).arg(".");
    run(&mut tar);
}

#[test]
fn an_archive_on_standard_input_is_the_context() {
    if !(ready() && ["xz", "bzip2", "zstd"].into_iter().all(require)) {
        return;
    }
    let desk = Desk::new();
    desk.context("app", COPY);
    fs::write(desk.path("app/Other"), "FROM scratch\nCOPY a.txt /b.txt\n").expect("written");
    for (number, option) in ["--format=gnu", "--gzip", "--bzip2", "--xz", "--zstd"].into_iter().enumerate() {
        pack(&desk, "app", "app.tar", &[option]);
        let files = files(&desk, &format!("out{number}"), &["-"], Some("app.tar"));
        assert_eq!(names(&files), ["Dockerfile", "Other", "a.txt"], "{option}");
    }
    let other = files(&desk, "other", &["-f", "Other", "-"], Some("app.tar"));
    assert_eq!(names(&other), ["b.txt"]);
    assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new());
}

#[test]
fn a_dockerfile_on_standard_input_has_an_empty_context_or_the_one_that_is_named() {
    if !ready() {
        return;
    }
    let desk = Desk::new();
    desk.context("app", "FROM nowhere.invalid/x\n");
    fs::write(desk.path("text"), "FROM scratch\nCOPY a.txt /given.txt\n").expect("written");
    assert_eq!(names(&files(&desk, "one", &["-f", "-", "app"], Some("text"))), ["given.txt"]);
    build(&desk, "two", &["-"], Some("text")).fails(3, &["a.txt"]);
    fs::write(desk.path("text"), "FROM scratch\nLABEL a=b\n").expect("written");
    build(&desk, "three", &["-"], Some("text")).success();
}

#[test]
fn a_repository_is_the_context_and_equal_commits_give_equal_images() {
    let Some(server) = GitServer::start().filter(|_| ready()) else { return };
    let desk = Desk::new();
    let url = server.url("app");
    let whole = files(&desk, "whole", &[&url], None);
    let expected = [".gitmodules", "Dockerfile", "link", "module", "outside", "run", "sub", "version"];
    assert_eq!(names(&whole), expected);
    let index = |out: &str| fs::read(desk.path(out).join("index.json")).expect("read");
    build(&desk, "again", &[&url], None).success();
    assert_eq!(index("whole"), index("again"));

    assert_eq!(names(&files(&desk, "sub", &[&server.url("app#main:sub")], None)), ["only.txt"]);
    // The Dockerfile of the folder, but not its context.
    build(&desk, "never", &["-f", "sub/Dockerfile", &url], None).fails(3, &["only.txt"]);
    build(&desk, "never", &["-f", "../../etc/passwd", &url], None).fails(3, &["no Dockerfile at git://"]);
    fs::write(desk.path("local"), "FROM scratch\nCOPY version /mine\n").expect("written");
    let local = desk.path("local").display().to_string();
    assert_eq!(names(&files(&desk, "mine", &["-f", &local, &url], None)), ["mine"]);

    let keep = ["--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", &url];
    let kept = files(&desk, "kept", &keep, None);
    assert_eq!(git(&kept, &["-c", "safe.directory=*", "log", "--format=%s"]), "new");
    assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new());
}

#[test]
fn an_ignore_file_counts_in_a_fetched_context() {
    let Some(server) = GitServer::start().filter(|_| ready()) else { return };
    let desk = Desk::new();
    let app = server.path("app");
    fs::write(app.join(".dockerignore"), "version\nmodule\n.gitmodules\n").expect("written");
    fs::rename(app.join("Dockerfile"), app.join("dockerfile")).expect("renamed");
    git(&app, &["add", "--all", "."]);
    git(&app, &["commit", "--quiet", "-m", "ignore"]);
    let expected = [".dockerignore", "dockerfile", "link", "outside", "run", "sub"];
    assert_eq!(names(&files(&desk, "one", &[&server.url("app")], None)), expected);
    fs::write(app.join("dockerfile.dockerignore"), "*\n!version\n").expect("written");
    git(&app, &["add", "--all", "."]);
    git(&app, &["commit", "--quiet", "-m", "ignore more"]);
    assert_eq!(names(&files(&desk, "two", &[&server.url("app")], None)), ["version"]);
}

#[test]
fn addresses_of_archives_and_of_dockerfiles_are_contexts() {
    if !ready() {
        return;
    }
    let (desk, web) = (Desk::new(), Web::start());
    desk.context("app", COPY);
    pack(&desk, "app", "app.tgz", &["--gzip"]);
    let url = web.put("app.tgz", fs::read(desk.path("app.tgz")).expect("read"));
    assert_eq!(names(&files(&desk, "one", &[&url], None)), ["Dockerfile", "a.txt"]);
    build(&desk, "two", &[&url], None).success();
    assert_eq!(web.asked(), ["200 app.tgz", "304 app.tgz"]);
    let text = web.put("Plain", "FROM scratch\nCOPY a.txt /c.txt\n");
    assert_eq!(names(&files(&desk, "three", &["-f", &text, "app"], None)), ["c.txt"]);
    let alone = web.put("alone", "FROM scratch\nLABEL a=b\n");
    build(&desk, "four", &[&alone], None).success();
    build(&desk, "five", &["-f", "Other", &alone], None).fails(3, &["/alone", "-f names another"]);
}

#[test]
fn named_contexts_come_from_everywhere() {
    let Some(server) = GitServer::start().filter(|_| ready()) else { return };
    let (desk, web) = (Desk::new(), Web::start());
    desk.context("base", "FROM scratch\nCOPY a.txt /from-layout\n");
    build(&desk, "layout", &["-t", "base:1", "--platform", "linux/amd64,linux/arm64", "base"], None)
        .success();
    let index =
        run(Command::new("jq").args(["-r", ".manifests[0].digest"]).arg(desk.path("layout/index.json")));
    let text = "FROM base\nCOPY --from=repository version /from-git\nCOPY --from=file context /from-web\n\
                COPY --from=folder a.txt /from-folder\n";
    desk.context("app", text);
    let repository = format!("repository={}", server.url("app#old"));
    let file = format!("file={}", web.put("f.bin", "web\n"));
    for (number, layout) in
        ["layout".to_owned(), "layout:1".into(), format!("layout@{}", index.trim())].iter().enumerate()
    {
        let base = format!("base=oci-layout://{layout}");
        let mut arguments = vec!["--platform", "linux/amd64,linux/arm64"];
        for context in [&base, &repository, &file, "folder=base"] {
            arguments.extend(["--build-context", context]);
        }
        let out = format!("out{number}");
        arguments.extend(["-t", "app:1", "app"]);
        build(&desk, &out, &arguments, None).success();
        for architecture in ["amd64", "arm64"] {
            let files = desk.unpack(&format!("oci:{}", desk.path(&out).display()), architecture);
            assert_eq!(names(&files), ["from-folder", "from-git", "from-layout", "from-web"]);
            assert_eq!(fs::read_to_string(files.join("from-git")).expect("read"), "old\n");
            assert_eq!(fs::read_to_string(files.join("from-web")).expect("read"), "web\n");
        }
    }
    assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new());
}

#[test]
fn what_cannot_be_a_context_is_said_in_one_sentence() {
    let Some(server) = GitServer::start() else { return };
    let (desk, web) = (Desk::new(), Web::start());
    desk.context("app", COPY);
    pack(&desk, "app", "app.tar", &[]);
    fs::write(desk.path("empty"), "").expect("written");
    fs::write(desk.path("noise"), [0xFF, 0xFE, 0, 1]).expect("written");
    let whole = fs::read(desk.path("app.tar")).expect("read");
    fs::write(desk.path("cut"), &whole[..1700]).expect("written");
    let secret = web.url("secret-a.git");
    for (arguments, input, code, words) in [
        (&["-f", "-", "-"][..], "empty", 2, &["cannot both come on standard input"][..]),
        (&["-"], "empty", 3, &["nothing came on standard input"]),
        (&["-"], "noise", 3, &["standard input", "neither a tar archive"]),
        (&["-"], "cut", 3, &["standard input", "cut off"]),
        (&["-f", "None", "-"], "app.tar", 3, &["no Dockerfile at None"]),
        (&["-f", "app/Dockerfile", "-"], "empty", 3, &["nothing came"]),
        (&[&server.url("app#none")], "empty", 3, &["cannot fetch the context", "commit none"]),
        (&[&server.url("none")], "empty", 3, &["cannot fetch the context", "/none"]),
        (&["-f", "None", &server.url("app")], "empty", 3, &["no Dockerfile at git://", "#:None"]),
        (&["git://127.0.0.1:1/a"], "empty", 7, &["cannot fetch the context"]),
        (&["https://h/a.git?depth=1"], "empty", 2, &["\"depth\" is not known"]),
        (&[&secret], "empty", 8, &["cannot fetch the context"]),
        (&[&web.url("none.tar")], "empty", 3, &["/none.tar was not found"]),
        (&[&web.url("secret-a")], "empty", 8, &["denied access"]),
        (&["--build-context", "x=target:y", "app"], "empty", 2, &["x=target:y", "bake"]),
        (
            &["--build-context", "x=oci-layout://app", "app"],
            "empty",
            3,
            &["build context x", "no OCI image layout"],
        ),
        (&["--build-context", "x=https://nowhere.invalid/f", "app"], "empty", 7, &["the build context x"]),
    ] {
        // A quick failure: what may pass is tried again for a while otherwise.
        let ended = build(&desk, "never", arguments, Some(input));
        ended.fails(code, words);
        assert!(!desk.path("never").exists());
    }
    assert_eq!(desk.scratch(&desk.store()), Vec::<PathBuf>::new());
}

#[test]
fn git_is_asked_for_where_it_is_missing() {
    let desk = Desk::new();
    let mut command = desk.command(["build", "https://127.0.0.1:1/a.git"]);
    let ended = Ended::of(command.env("PATH", desk.path("nothing")));
    ended.fails(1, &["no git program"]);
    ended.says("apt-get install git");
}

/// A build of something that never comes to an end, cut off by a signal: nothing is left of it.
fn cut_off(arguments: &[&str], signal: Signal, code: Option<i32>) {
    let (desk, web) = (Desk::new(), Web::start());
    web.put("slow-a", "x");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let fill = |text: &&str| text.replace("WEB", &web.url("slow-a")).replace("PORT", &port.to_string());
    let arguments: Vec<String> = ["build"].iter().chain(arguments).map(fill).collect();
    let mut command = desk.command(&arguments);
    let log = File::create(desk.path("log")).expect("a file");
    let mut process = command.stdin(Stdio::piped()).stderr(log).spawn().expect("polyarch starts");
    // Waiting for the process would close it, and its end could be seen before the signal.
    let _input = process.stdin.take();
    let tmp = desk.store().join("tmp");
    // A file beside the lock, in the folder of the process. A folder that gets its final name meanwhile is no failure.
    let busy = || {
        let files = ["-mindepth", "2", "!", "-name", "lock"];
        let found = Command::new("find").arg(&tmp).args(files).output().expect("find runs");
        !found.stdout.is_empty()
    };
    let begun = Instant::now();
    while !(tmp.exists() && busy()) {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is fetched");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(300));
    kill(Pid::from_raw(i32::try_from(process.id()).expect("a process id")), signal).expect("sent");
    let status = process.wait().expect("ended");
    assert_eq!(status.code(), code, "{}", fs::read_to_string(desk.path("log")).expect("read"));
    let ours = || {
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let here = |entry: &fs::DirEntry| {
            fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(desk.store()))
        };
        entries.filter(here).count()
    };
    let begun = Instant::now();
    while ours() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "git goes on");
        thread::sleep(Duration::from_millis(20));
    }
    // A process that was forked and does not execute git yet holds the lock of the store a moment longer.
    let begun = Instant::now();
    while !desk.scratch(&desk.store()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", desk.scratch(&desk.store()));
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(names(&desk.store().join("blobs/sha256")), [""; 0]);
}

#[test]
fn ctrl_c_during_a_download_leaves_nothing() {
    cut_off(&["WEB"], Signal::SIGINT, Some(130));
}

#[test]
fn ctrl_c_while_git_waits_leaves_nothing() {
    if require("git") {
        cut_off(&["git://127.0.0.1:PORT/a"], Signal::SIGINT, Some(130));
    }
}

#[test]
fn ctrl_c_while_standard_input_is_awaited_leaves_nothing() {
    cut_off(&["-"], Signal::SIGINT, Some(130));
}

#[test]
fn a_build_that_is_killed_while_it_fetches_leaves_nothing() {
    cut_off(&["WEB"], Signal::SIGKILL, None);
    if require("git") {
        cut_off(&["git://127.0.0.1:PORT/a"], Signal::SIGKILL, None);
    }
}

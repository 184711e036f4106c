//! What a person cannot help: registries, credentials, base images and disks that are not as they should be.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    bases::busybox,
    buildah::{left_behind, run, skip},
    command::{BACKENDS, Desk, has_tag, is_root, raw, ready},
    registry::{PASSWORD, TestRegistry, USER},
    tools::require,
};

const BOTH: &str = "linux/amd64,linux/arm64";
const COPY: &str = "FROM scratch\nCOPY a.txt /a.txt\n";

/// An address where nobody listens.
fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    format!("127.0.0.1:{}", free.port())
}

#[test]
fn an_unreachable_registry_is_known_soon_and_before_the_build() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let context = desk.context("app", COPY);
    let (good, bad) = (format!("{}/app:1", registry.address), format!("{}/app:1", nobody()));
    desk.ok(["build", "-q", "-t", "app:1", &context]);
    let outputs = ["-o", "type=oci,dest=app.tar", "--iidfile", "id"];
    for arguments in [
        &[
            "build", "--push", "-t", &good, "-t", &bad, &context, outputs[0], outputs[1], outputs[2],
            outputs[3],
        ][..],
        &["push", "app:1", &good, &bad],
        &["manifest", "create", "list:1", &bad],
        &["manifest", "add", "app:1", &format!("docker://{bad}")],
    ] {
        let begun = Instant::now();
        let ended = desk.run(arguments);
        ended.fails(7, &["cannot reach", bad.split('/').next().expect("a host")]);
        ended.says("hint: check the name and the network");
        assert!(begun.elapsed() < Duration::from_secs(8), "{arguments:?} took {:?}", begun.elapsed());
        assert!(!ended.stderr.contains("COPY a.txt"), "nothing was built");
    }
    assert!(!has_tag(&good));
    assert_eq!(desk.names(), ["docker.io/library/app:1"]);
    assert!(!desk.path("app.tar").exists() && !desk.path("id").exists());
}

#[test]
fn missing_and_wrong_credentials_are_told_apart() {
    if !ready() || !require("htpasswd") {
        return;
    }
    let (desk, open, closed) = (Desk::new(), TestRegistry::open(), TestRegistry::with_password());
    let context = desk.context("app", COPY);
    let (other, name) = (format!("{}/app:1", open.address), format!("{}/app:1", closed.address));
    let push = ["build", "--push", "-t", &other, "-t", &name, "--platform", BOTH, &context];
    let ended = desk.run(push);
    ended.fails(8, &["no credentials", &closed.address]);
    ended.says("hint: log in with docker login");

    let authfile = closed.authfile("wrong horse").display().to_string();
    let ended = desk.run(push.iter().chain(&["--authfile", &authfile]));
    ended.fails(8, &["refused the credentials", &authfile]);
    assert!(!ended.stderr.contains("wrong horse"));
    desk.run(push.iter().chain(&["--authfile", "gone.json"])).fails(8, &["gone.json"]);
    assert!(!has_tag(&other) && desk.names().is_empty());

    let authfile = desk.path("auth.json").display().to_string();
    let login = ["login", "--tls-verify=false", "--authfile", &authfile, "-u", USER, "-p", PASSWORD];
    run(Command::new("skopeo").args(login).arg(&closed.address));
    desk.ok(push.iter().chain(&["--authfile", &authfile]));
    assert!(has_tag(&other));
    desk.run(["push", &name]).fails(8, &["no credentials"]);

    // A base image behind a login.
    let context = desk.context("above", format!("FROM {name}\nCOPY a.txt /b.txt\n"));
    for backend in BACKENDS {
        let build = ["build", "--backend", backend, "-t", "above:1", &context];
        let ended = desk.run(build);
        ended.fails(8, &[&name]);
        ended.says("hint: log in with docker login");
        desk.ok(build.iter().chain(&["--authfile", authfile.as_str()]));
    }
}

#[test]
fn a_base_image_that_lacks_one_platform_stops_the_build() {
    if !ready() {
        return;
    }
    let (desk, registry) = (Desk::new(), TestRegistry::open());
    let name = |tag: &str| format!("{}/{tag}", registry.address);
    let base = desk.context("base", COPY);
    desk.ok(["build", "--push", "-t", &name("base:1"), "--platform", BOTH, &base]);
    desk.ok(["build", "--push", "-t", &name("app:1"), "--platform", BOTH, &base]);
    let before = raw(&name("app:1"));
    for backend in BACKENDS {
        let build = ["build", "--backend", backend, "--push", "-t", &name("app:1"), "--platform"];
        for (base, word) in [("base:1", "linux/s390x"), ("gone:1", "gone:1")] {
            let context = desk.context("app", format!("FROM {}\nCOPY a.txt /b.txt\n", name(base)));
            let platforms = format!("{BOTH},linux/s390x");
            let ended = desk.run(build.iter().chain(&[platforms.as_str(), &context]));
            ended.fails(6, &["base image", &name(base), word]);
        }
    }
    assert_eq!(raw(&name("app:1")), before);
    let context = desk.context("app", format!("FROM {}/base:1\nCOPY a.txt /\n", nobody()));
    let ended = desk.run(["build", "-t", "other:1", &context]);
    assert!(matches!(ended.code, Some(6 | 7)), "{}", ended.stderr);
    ended.says("base:1");
    assert!(!desk.names().iter().any(|name| name.contains("other")));
    assert_eq!(left_behind(&desk.store(), None), Vec::<String>::new());
}

#[test]
fn a_full_disk_is_said_and_nothing_is_left_of_the_build() {
    let Some(base) = (ready() && is_root()).then(busybox).flatten() else { return };
    let desk = Desk::new();
    let small = desk.context("small", COPY);
    // One does not fit with its base image, the other as a layer: random content does not become small.
    let above = desk.context("above", format!("FROM {base}\nRUN true\n"));
    let large = desk.context("large", "FROM scratch\nCOPY large /\n");
    let random = |length: &str, path: &str| {
        let mut head = Command::new("sh");
        run(head.args(["-c", "head -c $0 /dev/urandom > $1", length]).arg(desk.path(path)));
    };
    random("20000000", "large/large");
    for backend in BACKENDS {
        let Some(disk) = SmallDisk::mount(&desk.path(backend), "2m") else { return };
        let store = disk.0.join("store").display().to_string();
        let build = ["build", "--backend", backend, "--store", &store, "--platform", "linux/amd64"];
        let names = || run(Command::new("jq").args(["-c", ".manifests", &format!("{store}/index.json")]));
        let fits = || desk.ok(build.iter().chain(&["-t", "small:1", &small]));
        fits();
        let before = names();
        for context in [&above, &large, &large, &large] {
            let ended = desk.run(build.iter().chain(&["-t", "small:1", "-t", "large:1", context]));
            ended.fails(9, &["no space left"]);
            ended.says("hint: free some space");
            assert_eq!(names(), before);
            assert_eq!(desk.scratch(&disk.0.join("store")), Vec::<PathBuf>::new());
            // A base that is here whole may stay. buildah leaves a layer in some of the cases.
            let mut find = Command::new("find");
            find.arg(&store).args(["-type", "f", "-size", "+256k", "-not", "-path", "*/blobs/*"]);
            assert_eq!(run(&mut find), "", "{}", ended.stderr);
            // The disk itself is mounted below the path that is looked for.
            let allowed = ["a mount of", "mounts:"];
            let left = left_behind(&disk.0.join("store"), None);
            assert!(left.iter().all(|left| allowed.iter().any(|word| left.starts_with(word))), "{left:?}");
        }
        fits();
    }

    let Some(full) = SmallDisk::mount(&desk.path("full"), "100k") else { return };
    for output in ["type=oci,dest=full/app.tar", "type=oci,dest=full/app,tar=false"] {
        random("1000000", "small/a.txt");
        desk.run(["build", "-t", "out:1", "-o", output, &small]).fails(9, &["full/app", "No space left"]);
        assert_eq!(fs::read_dir(&full.0).expect("a folder").count(), 0);
    }
    assert_eq!(desk.names(), [""; 0]);
}

/// A filesystem in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir(path).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(path.to_owned()));
        }
        skip("cannot mount a small filesystem here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

//! The sandbox backend beside the real buildah: the same Dockerfiles give the same file systems and configs.

mod cases;
mod large;
mod refusals;
mod steps;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use futures::StreamExt as _;
use polyarch::{
    backend::sandbox::{SandboxBackend, SandboxOptions},
    oci::Store,
};
use polyarch_actors::{
    Availability, BaseImage, BuildBackend, BuildCx, BuildError, BuildRequest, BuiltImage, ContextSource,
    EventKind, EventSink, ImageOs, Platform, StepStage,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::cases::CASES;
use crate::support::buildah::{self, Registry, config, folder, layout, ready, run};

/// Builds with any backend and returns the events too.
async fn build(
    backend: &dyn BuildBackend,
    request: BuildRequest,
) -> (Result<BuiltImage, BuildError>, Vec<EventKind>) {
    let (events, cancel) = (EventSink::new(request.build.clone()), CancellationToken::new());
    let cx = BuildCx { events: events.for_platform(&request.platform), cancel, emulated: false };
    let result = backend.build(request, cx).await;
    events.emit(EventKind::Finished { error: result.as_ref().err().cloned() });
    (result, events.subscribe().map(|event| event.kind.clone()).collect().await)
}

fn sandbox(folder: &Path) -> (Store, SandboxBackend) {
    let store = Store::open(folder.join("sandbox")).expect("a store");
    let options = SandboxOptions { helper: Some(buildah::helper()), ..SandboxOptions::default() };
    (store.clone(), SandboxBackend::new(store, options))
}

/// A context with something of everything.
fn fill(context: &Path) {
    fs::create_dir_all(context.join("dir/sub/empty")).expect("folders");
    for (name, text) in [
        ("a.txt", "a\n"),
        ("b.txt", "b\n"),
        ("amd64.txt", "amd64\n"),
        ("with space.txt", "s\n"),
        ("ignored.log", "no\n"),
        (".dockerignore", "*.log\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("dir/one", "1\n"),
        ("dir/sub/two", "2\n"),
        ("not-an-archive.gz", "just a name\n"),
    ] {
        fs::write(context.join(name), text).expect("written");
    }
    let mode = |path: &str, mode| {
        fs::set_permissions(context.join(path), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    mode("run.sh", 0o755);
    mode("dir/sub", 0o711);
    if !context.join("dir/link").exists() {
        symlink("one", context.join("dir/link")).expect("linked");
        symlink("nowhere", context.join("dir/dangling")).expect("linked");
    }
    let tar = |flags: &str, name: &str| {
        run(Command::new("tar").current_dir(context).args([
            flags,
            name,
            "--owner=1:9",
            "--group=2:9",
            "dir",
            "a.txt",
        ]));
    };
    tar("-czf", "archive.tar.gz");
    tar("-cf", "plain.tar");
}

/// Pushes a base with users, odd modes and symbolic links, and returns its name.
fn push_base(folder: &Path, registry: &Registry) -> String {
    let root = folder.join("base-root");
    for path in ["etc", "usr/lib", "tmp", "data", "home/app"] {
        fs::create_dir_all(root.join(path)).expect("folders");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:100:101::/home/app:/bin/sh\n")
        .expect("written");
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:101:\nstaff:x:50:\n").expect("written");
    fs::write(root.join("usr/lib/library"), "code\n").expect("written");
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    fs::set_permissions(root.join("data"), fs::Permissions::from_mode(0o750)).expect("a mode");
    for (target, link) in [("usr/lib", "lib"), ("/usr/lib", "absolute"), ("../../../tmp", "climbing")] {
        symlink(target, root.join(link)).expect("linked");
    }
    let layout = folder.join("base-layout");
    let image = format!("{}:it", layout.display());
    let umoci = |args: &[&str]| run(Command::new("umoci").args(args));
    umoci(&["init", "--layout", &layout.display().to_string()]);
    umoci(&["new", "--image", &image]);
    umoci(&["insert", "--rootless", "--image", &image, &root.display().to_string(), "/"]);
    umoci(&[
        "config",
        "--image",
        &image,
        "--os=linux",
        "--architecture=amd64",
        "--config.env=PATH=/bin",
        "--config.cmd=old",
        "--config.entrypoint=/start",
        "--config.label=from=base",
        "--config.workingdir=/data",
    ]);
    let name = format!("{}/base:1", registry.address);
    push(&layout, &name);
    name
}

fn push(layout: &Path, name: &str) {
    let source = format!("oci:{}:it", layout.display());
    run(Command::new("skopeo").args([
        "copy",
        "--dest-tls-verify=false",
        &source,
        &format!("docker://{name}"),
    ]));
}

/// Every path of an image with all that a container sees of it.
fn files(layout: &Path) -> BTreeMap<String, String> {
    let bundle = layout.join("bundle");
    let image = format!("{}:it", layout.display());
    run(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle));
    let (root, mut found) = (bundle.join("rootfs"), BTreeMap::new());
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("listed").flatten() {
            let (path, metadata) = (entry.path(), entry.path().symlink_metadata().expect("there"));
            let kind = metadata.file_type();
            let content = if kind.is_dir() {
                open.push(path.clone());
                "directory".to_owned()
            } else if kind.is_symlink() {
                format!("link to {}", fs::read_link(&path).expect("a link").display())
            } else if kind.is_fifo() {
                "pipe".to_owned()
            } else {
                String::from_utf8_lossy(&fs::read(&path).expect("read")).into_owned()
            };
            let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            let name = path.strip_prefix(&root).expect("below").display().to_string();
            found.insert(name, format!("{mode:o} {uid}:{gid} {content}"));
        }
    }
    found
}

/// What a runtime reads, without what an image from nothing begins with in one builder and not in the other.
fn runtime(layout: &Path) -> BTreeMap<String, Value> {
    let config = config(layout);
    let mut all = BTreeMap::new();
    for key in [
        "Env",
        "Cmd",
        "Entrypoint",
        "WorkingDir",
        "User",
        "ExposedPorts",
        "Volumes",
        "Labels",
        "StopSignal",
        "Healthcheck",
        "Shell",
        "OnBuild",
    ] {
        let mut value = config["config"][key].clone();
        if let (Some(labels), "Labels") = (value.as_object_mut(), key) {
            labels.remove("io.buildah.version");
        }
        if let (Some(env), "Env") = (value.as_array_mut(), key) {
            // BuildKit gives an image from nothing a PATH, and buildah does not.
            env.retain(|entry| entry != "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        }
        // And the working directory `/`, which means the same as none.
        if value == json!("/") || value == json!({}) || value == json!([]) {
            value = Value::Null;
        }
        all.insert(key.to_owned(), value);
    }
    all.insert("platform".into(), json!([config["os"], config["architecture"], config["variant"]]));
    all
}

/// What two maps say differently, one line each.
fn differences<V: PartialEq + std::fmt::Debug>(
    ours: &BTreeMap<String, V>,
    theirs: &BTreeMap<String, V>,
) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let different = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
    different
        .map(|key| format!("{key}: {:?} here, {:?} by buildah", ours.get(key), theirs.get(key)))
        .collect()
}

#[tokio::test]
async fn images_are_as_buildah_builds_them() {
    if !ready() || fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        return;
    }
    let (folder, registry) = (folder(), Registry::start());
    let base = push_base(folder.path(), &registry);
    let (store, sandbox) = sandbox(folder.path());
    let (buildah_store, buildah) = buildah::backend(folder.path());
    let mut odd = Vec::new();
    for case in CASES {
        let text = case.dockerfile.replace("BASE", &base);
        let mut request = buildah::request(folder.path(), "linux/amd64", &text);
        fill(&folder.path().join("context"));
        if text.contains(&base) {
            let platform = "linux/amd64".parse().expect("platform");
            request.bases = vec![BaseImage { reference: base.clone(), platform }];
        }
        let ours = build(&sandbox, request.clone()).await.0;
        let theirs = build(&buildah, request).await.0;
        let (ours, theirs) = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (ours, theirs) => {
                odd.push(format!("{text:?}: {:?} here, {:?} by buildah", ours.err(), theirs.err()));
                continue;
            }
        };
        let ours = layout(&folder.path().join("ours"), &store, &ours);
        let theirs = layout(&folder.path().join("theirs"), &buildah_store, &theirs);
        let mut found = differences(&files(&ours), &files(&theirs));
        found.extend(differences(&runtime(&ours), &runtime(&theirs)));
        found.retain(|line| !case.differs.iter().any(|meant| line.contains(meant)));
        odd.extend(found.into_iter().map(|line| format!("{text:?}: {line}")));
        for layout in [ours, theirs] {
            fs::remove_dir_all(layout).expect("removed");
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n"));
}

#[tokio::test]
async fn it_says_what_it_can_do() {
    let folder = folder();
    let can = sandbox(folder.path()).1.probe().await;
    let Availability::Usable(what) = &can.availability else { panic!("{can:?}") };
    assert!(what.starts_with("native engine ") && what.ends_with(" (overlay)"), "{what}");
    assert!(can.native.contains(&Platform::host_linux()) && can.slots > 0, "{can:?}");
    assert_eq!(can.assembles, ImageOs::ALL);
}

#[tokio::test]
async fn an_enclosed_context_is_not_opened_where_a_link_has_been_put() {
    let folder = folder();
    let root = folder.path().canonicalize().expect("a path");
    let (_, backend) = sandbox(&root);
    let request = buildah::request(&root, "linux/amd64", "FROM scratch\nCOPY a.txt /\n");
    let (context, other) = (root.join("context"), root.join("other"));
    let enclosed = BuildRequest { context: ContextSource::Enclosed(context.clone()), ..request.clone() };
    build(&backend, enclosed.clone()).await.0.expect("no link is there");
    fs::rename(&context, &other).expect("moved");
    symlink(&other, &context).expect("linked");
    build(&backend, request).await.0.expect("one's own link is followed");
    let error = build(&backend, enclosed).await.0.expect_err("a link").to_string();
    assert!(error.contains("context"), "{error}");
}

#[tokio::test]
async fn the_example_is_built_for_two_platforms() {
    let folder = folder();
    let (store, backend) = sandbox(folder.path());
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/hello");
    let text = fs::read_to_string(example.join("Dockerfile")).expect("the example");
    let begun = Instant::now();
    for platform in ["linux/amd64", "linux/arm64"] {
        let mut request = buildah::request(folder.path(), platform, &text);
        request.context = polyarch_actors::ContextSource::Directory(example.clone());
        let (result, events) = build(&backend, request).await;
        let image = result.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(image.platform.to_string(), platform);
        assert!(events.contains(&EventKind::StepStarted {
            step: 2,
            instruction: "COPY greeting.txt /greeting.txt".into(),
            stage: Some(StepStage { number: 0, name: Some("greetings".into()) }),
        }));
        let layout = layout(folder.path(), &store, &image);
        assert!(config(&layout)["config"]["Env"].to_string().contains(&format!("PLATFORM={platform}")));
    }
    let took = begun.elapsed();
    assert!(took.as_secs() < 10, "{took:?}");
}

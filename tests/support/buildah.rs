//! What the tests of the buildah backend share: a registry, base images, a backend, and a look at what is left.

use std::{
    env, fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use polyarch::{
    backend::buildah::{BuildahBackend, BuildahOptions},
    oci::{Store, digest_of},
};
use polyarch_actors::{
    BaseImage, BuildBackend, BuildCx, BuildError, BuildEvent, BuildId, BuildRequest, BuiltImage,
    ContextSource, DockerfileSource, EventKind, EventSink, Platform,
};
use tokio_util::sync::CancellationToken;

use super::{groups, tools};

/// The program that serves as a helper.
pub(crate) fn helper() -> PathBuf {
    env::var_os("POLYARCH_TEST_HELPER")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_polyarch")), PathBuf::from)
}

/// Whether this machine has what every test needs.
pub(crate) fn ready() -> bool {
    ["buildah", "skopeo", "umoci", "docker-registry"].into_iter().all(tools::require)
}

/// A folder for one test.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("polyarch-buildah").tempdir().expect("a folder")
}

/// A backend on the store in `folder`.
pub(crate) fn backend(folder: &Path) -> (Store, BuildahBackend) {
    let store = Store::open(folder.join("store")).expect("a store");
    let options = BuildahOptions { helper: Some(helper()), ..BuildahOptions::default() };
    (store.clone(), BuildahBackend::new(store, options))
}

/// A request for one platform, with a context that holds the file `a.txt`.
pub(crate) fn request(folder: &Path, platform: &str, dockerfile: &str) -> BuildRequest {
    let context = folder.join("context");
    fs::create_dir_all(&context).expect("a context");
    fs::write(context.join("a.txt"), "hello\n").expect("a file");
    let dockerfile = DockerfileSource::new("Dockerfile", dockerfile);
    let platform = platform.parse().expect("platform");
    BuildRequest::new(BuildId::generate(), platform, dockerfile, ContextSource::Directory(context))
}

/// The same request with a base for each of some platforms.
pub(crate) fn with_bases(mut request: BuildRequest, reference: &str, platforms: &[&str]) -> BuildRequest {
    let base = |platform: &&str| BaseImage {
        reference: reference.into(),
        platform: platform.parse().expect("platform"),
    };
    request.bases = platforms.iter().map(base).collect();
    request.runs_on = request.bases.iter().map(|base| base.platform.clone()).collect();
    request
}

/// Builds and returns the result with all events.
pub(crate) async fn build(
    backend: &impl BuildBackend,
    request: BuildRequest,
) -> (Result<BuiltImage, BuildError>, Vec<EventKind>) {
    let (events, cancel) = (EventSink::new(request.build.clone()), CancellationToken::new());
    let cx = BuildCx { events: events.for_platform(&request.platform), cancel, emulated: false };
    let result = backend.build(request, cx).await;
    let error = result.as_ref().err().cloned();
    events.emit(EventKind::Finished { error });
    let all: Vec<_> =
        events.subscribe().map(|event: std::sync::Arc<BuildEvent>| event.kind.clone()).collect().await;
    (result, all)
}

/// Everything that the steps printed.
pub(crate) fn printed(events: &[EventKind]) -> String {
    let output = events.iter().filter_map(|event| match event {
        EventKind::StepOutput { data, .. } => Some(data.to_text()),
        _ => None,
    });
    output.collect()
}

/// An image of the store as a layout of its own, for tools that know nothing of polyarch.
pub(crate) fn layout(folder: &Path, store: &Store, image: &BuiltImage) -> PathBuf {
    let layout = folder.join(format!("layout-{}", image.manifest.digest.short()));
    fs::create_dir_all(&layout).expect("a folder");
    let blobs = layout.join("blobs");
    if !blobs.exists() {
        std::os::unix::fs::symlink(store.root().join("blobs"), &blobs).expect("linked");
    }
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("written");
    let mut entry = serde_json::to_value(&image.manifest).expect("json");
    entry["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "it"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(layout.join("index.json"), index.to_string()).expect("written");
    layout
}

/// The config of an image as skopeo reads it.
pub(crate) fn config(layout: &Path) -> serde_json::Value {
    let image = format!("oci:{}:it", layout.display());
    // The image may be for another platform than this machine; the config is wanted as it stands.
    let output = run(Command::new("skopeo").args(["inspect", "--config", "--raw", &image]));
    serde_json::from_str(&output).expect("a config")
}

/// The content of a file in an image as umoci unpacks it.
pub(crate) fn file(layout: &Path, path: &str) -> String {
    let bundle = layout.join("bundle");
    if !bundle.exists() {
        let image = format!("{}:it", layout.display());
        run(Command::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(&bundle));
    }
    fs::read_to_string(bundle.join("rootfs").join(path)).expect("the file")
}

/// A registry on this machine, which ends with the test.
pub(crate) struct Registry {
    process: Child,
    pub(crate) address: String,
    folder: tempfile::TempDir,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let address = format!("127.0.0.1:{port}");
        let config = folder.path().join("config.yml");
        let root = folder.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            root.display()
        );
        fs::write(&config, text).expect("written");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a registry");
        while TcpStream::connect(&address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, address, folder }
    }

    /// Pushes a busybox image for some platforms and returns its reference; `None` where the program for one of
    /// them cannot be had.
    pub(crate) fn busybox(&self, architectures: &[&str]) -> Option<String> {
        let reference = format!("{}/busybox:latest", self.address);
        let mut manifests = Vec::new();
        for architecture in architectures {
            let layout = self.busybox_layout(architecture, &busybox(architecture)?);
            let tag = format!("docker://{}/busybox:{architecture}", self.address);
            let source = format!("oci:{}:it", layout.display());
            run(Command::new("skopeo").args(["copy", "--dest-tls-verify=false", &source, &tag]));
            let raw = run(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &tag]));
            let digest = run(Command::new("skopeo")
                .args(["inspect", "--tls-verify=false", "--format={{.Digest}}"])
                .args(["--override-arch", architecture, &tag]));
            manifests.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest.trim(),
                "size": raw.len(),
                "platform": {"os": "linux", "architecture": architecture},
            }));
        }
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        self.put("/v2/busybox/manifests/latest", media_type, &index.to_string());
        Some(reference)
    }

    fn busybox_layout(&self, architecture: &str, program: &Path) -> PathBuf {
        let root = self.folder.path().join(format!("root-{architecture}"));
        for folder in ["bin", "tmp", "etc"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::copy(program, root.join("bin/busybox")).expect("copied");
        for name in ["sh", "cat", "echo", "sleep", "true", "uname", "id", "ls", "yes", "head", "test"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("linked");
        }
        let layout = self.folder.path().join(format!("layout-{architecture}"));
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
            "--architecture",
            architecture,
            "--config.env=PATH=/bin",
        ]);
        layout
    }

    fn put(&self, path: &str, media_type: &str, body: &str) {
        let mut stream = TcpStream::connect(&self.address).expect("the registry");
        let head = format!(
            "PUT {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("sent");
        let answer = std::io::read_to_string(stream).expect("an answer");
        assert!(answer.contains(" 201 "), "{answer}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A static busybox for a CPU: this machine's, the one that `POLYARCH_TEST_BUSYBOX_<CPU>` names, or one from the
/// distribution.
pub(crate) fn busybox(architecture: &str) -> Option<PathBuf> {
    let variable = format!("POLYARCH_TEST_BUSYBOX_{}", architecture.to_uppercase());
    if let Some(path) = env::var_os(variable) {
        return Some(path.into());
    }
    if architecture == Platform::host_linux().arch() {
        return Some(PathBuf::from("/bin/busybox"))
            .filter(|path| path.is_file() || tools::require("busybox"));
    }
    let folder = env::temp_dir().join(format!("polyarch-test-busybox-{architecture}"));
    let program = folder.join("bin/busybox");
    if !program.is_file() {
        let new = tempfile::tempdir_in(env::temp_dir()).expect("a folder");
        let script = format!(
            "cd {0} && apt-get -q download busybox-static:{architecture} && dpkg-deb -x *.deb x",
            new.path().display()
        );
        let fetched =
            Command::new("sh").args(["-c", &script]).output().is_ok_and(|output| output.status.success());
        if !fetched {
            skip(&format!("busybox-static:{architecture} cannot be fetched"));
            return None;
        }
        let _ = fs::rename(new.path().join("x"), &folder);
    }
    Some(program)
}

/// Says that a test is skipped and why; on CI that is a failure. Always false.
pub(crate) fn skip(reason: &str) -> bool {
    assert!(env::var_os("CI").is_none(), "{reason}");
    // Written by a child: the test harness hides what a passing test prints.
    let _ = Command::new("sh").args(["-c", "echo \"SKIPPED: $0\" >&2", reason]).status();
    false
}

/// What a build may leave behind, looked for by a text that only this test's processes and paths have.
pub(crate) fn left_behind(store: &Path, mark: Option<&str>) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let process = entry.path();
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if mark.is_some_and(|mark| command.contains(mark)) || command.contains(&*store.to_string_lossy()) {
            left.push(format!("process {pid}: {command}"));
        }
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        if let Some(mount) = mounts.lines().find(|mount| mount.contains(&*store.to_string_lossy())) {
            left.push(format!("a mount of process {pid} ({command}): {mount}"));
        }
    }
    for worker in workers(store) {
        let entries = fs::read_dir(worker.join("tmp")).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| format!("file {}", entry.path().display())));
        for list in ["overlay-layers/mountpoints.json", "vfs-layers/mountpoints.json"] {
            let text = fs::read_to_string(worker.join("run").join(list)).unwrap_or_default();
            if text.contains("\"id\"") {
                left.push(format!("mounts: {text}"));
            }
        }
        for driver in ["overlay", "vfs"] {
            let list = worker.join(format!("root/{driver}-containers/containers.json"));
            let text = fs::read_to_string(list).unwrap_or_default();
            if text.contains("\"id\"") {
                left.push(format!("containers: {text}"));
            }
        }
        left.extend(control_groups(&worker).into_iter().map(|group| format!("group {}", group.display())));
        if worker.join("dirty").exists() {
            left.push(format!("{} is dirty", worker.display()));
        }
    }
    left
}

/// The folders of all workers.
pub(crate) fn workers(store: &Path) -> Vec<PathBuf> {
    let list =
        |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    list(store.join("backends/buildah/workers")).flat_map(list).collect()
}

/// The control groups of a worker's containers.
fn control_groups(worker: &Path) -> Vec<PathBuf> {
    let name = format!("polyarch-{}", digest_of(worker.as_os_str().as_encoded_bytes()).short());
    groups::named(&name)
}

/// Waits up to a minute.
pub(crate) async fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_mins(1), "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a command that must succeed and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

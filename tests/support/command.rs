//! The `polyarch` command as a person runs it, and tools that know nothing of it to look at its results.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use super::{
    buildah::{run, skip},
    tools,
};

/// What builds Linux images on this machine.
pub(crate) const BACKENDS: [&str; 2] = ["sandbox", "buildah"];

/// A folder to work in and a store of one's own in it, both gone after the test.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("polyarch-cli").tempdir().expect("a folder") }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// A context with a Dockerfile and the file `a.txt`; its name is what commands take, relative to the folder.
    pub(crate) fn context(&self, name: &str, dockerfile: impl AsRef<[u8]>) -> String {
        let context = self.path(name);
        fs::create_dir_all(&context).expect("a context");
        fs::write(context.join("Dockerfile"), dockerfile).expect("a Dockerfile");
        fs::write(context.join("a.txt"), "hello\n").expect("a file");
        name.to_owned()
    }

    /// The command, not yet started: in the folder, on the store, without this person's settings.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_polyarch")), arguments)
    }

    /// The same with a copy of the program.
    pub(crate) fn command_of<S: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for variable in [
            "POLYARCH_BACKEND",
            "POLYARCH_LOG",
            "DOCKER_CONFIG",
            "REGISTRY_AUTH_FILE",
            "XDG_RUNTIME_DIR",
            "BUILDKIT_PROGRESS",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "TRACEPARENT",
        ] {
            command.env_remove(variable);
        }
        command.env("HOME", self.folder.path()).env("POLYARCH_STORE", self.store());
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        Ended::of(&mut self.command(arguments))
    }

    /// Runs a command that must succeed and returns what it printed.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.run(arguments).success()
    }

    /// Begins a command whose progress goes to the file `name`.
    pub(crate) fn begin<S: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = S>) -> Child {
        let log = fs::File::create(self.path(name)).expect("a file");
        self.command(arguments).stdout(Stdio::null()).stderr(log).spawn().expect("polyarch starts")
    }

    /// The names in the store as any reader of OCI layouts finds them.
    pub(crate) fn names(&self) -> Vec<String> {
        let path = self.store().join("index.json");
        if !path.exists() {
            return Vec::new();
        }
        let names = r#".manifests[].annotations["io.containerd.image.name"]"#;
        run(Command::new("jq").args(["-r", names]).arg(path)).lines().map(str::to_owned).collect()
    }

    /// What is left of temporary files in a store once the next command has looked after it: a process that ends
    /// while another thread of it still holds the store leaves its empty folder.
    pub(crate) fn scratch(&self, store: &Path) -> Vec<PathBuf> {
        self.ok([OsStr::new("--store"), store.as_os_str(), OsStr::new("images")]);
        let entries = fs::read_dir(store.join("tmp")).expect("a folder").flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// The index with this digest, byte for byte.
    pub(crate) fn index(&self, digest: &str) -> Value {
        let hex = digest.trim().strip_prefix("sha256:").expect("a digest");
        let path = self.store().join("blobs/sha256").join(hex);
        assert!(run(Command::new("sha256sum").arg(&path)).starts_with(hex));
        serde_json::from_slice(&fs::read(path).expect("read")).expect("json")
    }

    /// The root filesystem of one platform of an image that skopeo finds at `source`, as umoci unpacks it.
    pub(crate) fn unpack(&self, source: &str, architecture: &str) -> PathBuf {
        let new =
            tempfile::Builder::new().prefix("unpacked").tempdir_in(self.folder.path()).expect("a folder");
        let folder = new.keep();
        let layout = format!("oci:{}:it", folder.join("layout").display());
        run(Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false", "--override-os=linux"])
            .args(["--override-arch", architecture, source, &layout]));
        let image = format!("{}:it", folder.join("layout").display());
        run(Command::new("umoci")
            .args(["unpack", "--rootless", "--image", &image])
            .arg(folder.join("bundle")));
        folder.join("bundle/rootfs")
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the command runs");
        Self { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }

    /// What it printed, which must be all it did.
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        String::from_utf8(self.stdout).expect("text")
    }

    /// Checks the exit code and that one sentence holds all the words.
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let sentences: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let [sentence] = sentences[..] else { panic!("not one sentence: {}", self.stderr) };
        for word in words {
            assert!(sentence.contains(word), "{word:?} is not in: {sentence}");
        }
        for internal in ["panicked", "Error {", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(internal), "{}", self.stderr);
        }
    }

    /// Checks that there is a line with this text.
    pub(crate) fn says(&self, text: &str) {
        assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
    }
}

/// Whether the tools are here with which images are built and looked at.
pub(crate) fn ready() -> bool {
    ["buildah", "skopeo", "umoci", "docker-registry", "jq"].into_iter().all(tools::require)
}

/// Whether this is an amd64 machine that emulates arm64.
pub(crate) fn runs_both() -> bool {
    let native = polyarch_actors::Platform::host_linux().arch() == "amd64";
    let emulated = Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists();
    native && emulated || skip("needs amd64 with arm64 emulated (qemu-user-static and binfmt)")
}

/// Whether this process may mount and become another user.
pub(crate) fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0" || skip("needs root")
}

/// A manifest or index as the registry has it.
pub(crate) fn raw(reference: &str) -> Vec<u8> {
    let image = format!("docker://{reference}");
    run(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image])).into_bytes()
}

/// An index as the registry has it.
pub(crate) fn raw_json(reference: &str) -> Value {
    serde_json::from_slice(&raw(reference)).expect("json")
}

/// The config of one platform of an image that skopeo finds.
pub(crate) fn config_of(source: &str, architecture: &str) -> Value {
    let mut command = Command::new("skopeo");
    command.args(["inspect", "--config", "--override-os=linux", "--override-arch", architecture]);
    if source.starts_with("docker://") {
        command.arg("--tls-verify=false");
    }
    serde_json::from_str(&run(command.arg(source))).expect("json")
}

/// The platforms of an index, in its order.
pub(crate) fn platforms(index: &Value) -> Vec<String> {
    let entries = index["manifests"].as_array().expect("manifests");
    let platform = |entry: &Value| {
        let platform = &entry["platform"];
        let fields =
            ["os", "architecture", "variant"].into_iter().filter_map(|field| platform[field].as_str());
        fields.collect::<Vec<_>>().join("/")
    };
    entries.iter().map(platform).collect()
}

/// Whether a registry has a tag.
pub(crate) fn has_tag(reference: &str) -> bool {
    let image = format!("docker://{reference}");
    let output = Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &image]).output();
    output.expect("skopeo runs").status.success()
}

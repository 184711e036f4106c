//! The command as a person runs it on Windows, and what else is asked there.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use polyarch::backend::hcs::{Dlls, HcsApi as _, OsVersion, isolation};
use polyarch_actors::StepIsolation;
use serde_json::Value;

/// The images of nanoserver that stay for years, by their tag and build, the newest first.
const BASES: [(&str, u32); 3] = [("ltsc2025", 26100), ("ltsc2022", 20348), ("ltsc2019", 17763)];
/// How long is waited for something that a build does, the fetching and importing of its base included.
const PATIENCE: Duration = Duration::from_mins(20);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(250);

/// A folder to work in, which goes, and a store, which stays so that a base is fetched and imported once.
#[derive(Debug)]
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) store: PathBuf,
}

impl Desk {
    /// The store is the folder that `POLYARCH_TEST_STORE` names, else `C:\polyarch-tests`.
    pub(crate) fn new() -> Self {
        let store = env::var_os("POLYARCH_TEST_STORE").unwrap_or_else(|| r"C:\polyarch-tests".into());
        Self { folder: tempfile::tempdir().expect("a folder"), store: store.into() }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the context `app`, with the file `a.txt`.
    pub(crate) fn context(&self, dockerfile: &str) {
        fs::create_dir_all(self.path("app")).expect("a folder");
        fs::write(self.path("app/Dockerfile"), dockerfile).expect("a Dockerfile");
        fs::write(self.path("app/a.txt"), "hello\n").expect("a file");
    }

    /// The command, not yet started, in the folder.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("POLYARCH_STORE", &self.store).env_remove("POLYARCH_BACKEND");
        command
    }

    /// Runs a command that must succeed. Returns what it printed to both of its streams.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let output = self.command(arguments).output().expect("the command");
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        said
    }

    /// Builds `app` into the layout `out`, with progress in lines and no step taken from before.
    pub(crate) fn build(&self, flags: &[&str]) -> String {
        let fixed = ["build", "--progress", "plain", "--no-cache", "-o", "type=oci,tar=false,dest=out"];
        self.ok(fixed.iter().chain(flags).chain(&["app"]))
    }

    /// Begins a build of `app` whose progress nobody reads.
    pub(crate) fn begin(&self, flags: &[&str]) -> Child {
        let fixed = ["build", "--progress", "plain", "--no-cache", "-o", "type=cacheonly"];
        let mut command = self.command(fixed.iter().chain(flags).chain(&["app"]));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the command")
    }

    /// What `polyarch backends` says of one of them.
    pub(crate) fn backend(&self, id: &str) -> Value {
        let output = self.command(["backends", "--format", "json"]).output().expect("the command");
        assert!(output.status.success(), "{}", said(&output));
        let reports: Value = serde_json::from_slice(&output.stdout).expect("json");
        let found = reports.as_array().into_iter().flatten().find(|report| report["id"] == id);
        found.unwrap_or_else(|| panic!("no {id} in {reports:#}")).clone()
    }

    /// What is in a folder of the store; nothing where it is not there.
    pub(crate) fn in_store(&self, folder: &str) -> Vec<PathBuf> {
        match fs::read_dir(self.store.join(folder)) {
            Ok(entries) => entries.map(|entry| entry.expect("an entry").path()).collect(),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::NotFound, "{folder}: {error}");
                Vec::new()
            }
        }
    }
}

/// The nanoserver that this Windows runs in such a container: the one that `POLYARCH_TEST_WINDOWS_BASE` names, else
/// the newest that fits.
pub(crate) fn nanoserver(asked: StepIsolation) -> String {
    if let Ok(named) = env::var("POLYARCH_TEST_WINDOWS_BASE") {
        return named;
    }
    let host = Dlls::new().host_version().expect("the version of this Windows");
    let fits = |build| isolation(host, OsVersion { major: 10, minor: 0, build, revision: 0 }, asked).is_ok();
    let fitting = BASES.into_iter().find(|(_, build)| fits(*build));
    let (tag, _) = fitting.unwrap_or_else(|| {
        panic!("no nanoserver runs on {host} this way ({asked:?}): name a base in POLYARCH_TEST_WINDOWS_BASE")
    });
    format!("mcr.microsoft.com/windows/nanoserver:{tag}")
}

/// The containers of polyarch, in the words of Windows' own program.
pub(crate) fn containers() -> String {
    let list = said(&Command::new("hcsdiag").arg("list").output().expect("hcsdiag"));
    list.lines().filter(|line| line.to_lowercase().contains("polyarch")).collect()
}

/// What polyarch has in the networks of containers, in the words of Windows' own program.
pub(crate) fn endpoints() -> String {
    let script = "Get-HnsEndpoint | Where-Object Name -like polyarch-* | ForEach-Object Name";
    let arguments = ["-NoProfile", "-NonInteractive", "-Command", script];
    said(&Command::new("powershell").args(arguments).output().expect("powershell")).trim().to_owned()
}

/// Both streams of a program that has ended.
pub(crate) fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// Waits until something is so, while the build goes on.
pub(crate) fn wait(what: &str, build: &mut Child, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert_eq!(build.try_wait().expect("the build"), None, "it ended before there was {what}");
        assert!(begun.elapsed() < PATIENCE, "no {what}");
        thread::sleep(LOOK);
    }
}

/// What a layout holds, read without polyarch.
#[derive(Debug)]
pub(crate) struct Layout(pub(crate) PathBuf);

impl Layout {
    fn document(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&fs::read(self.blob(descriptor)).expect("a blob")).expect("json")
    }

    fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().and_then(|digest| digest.split_once(':'));
        let blobs = self.0.join("blobs");
        digest.map(|(algorithm, hex)| blobs.join(algorithm).join(hex)).expect("a digest")
    }

    /// The config of the only image, and the names of the members of its last layers.
    pub(crate) fn last(&self, layers: usize) -> (Value, Vec<Vec<String>>) {
        let outer = fs::read(self.0.join("index.json")).expect("an index");
        let outer: Value = serde_json::from_slice(&outer).expect("json");
        let index = self.document(&outer["manifests"][0]);
        let manifest = self.document(&index["manifests"][0]);
        let all = manifest["layers"].as_array().expect("layers");
        let last = all[all.len() - layers..].iter().map(|layer| members(&self.blob(layer)));
        (self.document(&manifest["config"]), last.collect())
    }
}

fn members(layer: &Path) -> Vec<String> {
    let file = fs::File::open(layer).expect("a layer");
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let members = archive.entries().expect("members").map(|member| {
        let member = member.expect("a member");
        member.path().expect("a name").to_string_lossy().replace('\\', "/")
    });
    members.collect()
}

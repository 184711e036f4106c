//! What every test of the calls begins with: a process with a state of its own, and layers.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use polyarch::backend::hcs::{
    ComputeSystem, Dlls, FileAttributes, HcsApi as _, HcsResult, LayerBelow, StartedProcess,
};
use serde_json::{Value, json};

/// Names the folder of the state to the simulator.
const STATE: &str = "POLYARCH_HCS_SIMULATOR";
/// A file without anything special.
pub(crate) const FILE: FileAttributes =
    FileAttributes { attributes: 0x80, created: 0, accessed: 0, written: 0, changed: 0 };
/// A directory.
pub(crate) const DIRECTORY: FileAttributes =
    FileAttributes { attributes: 0x10, created: 0, accessed: 0, written: 0, changed: 0 };

/// A state, and a folder for layers.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) state: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) api: Dlls,
}

/// What a process has done.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Value,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a test in a process of its own, because a state is named by the environment. The name is that of the test with
/// `module_path!()`.
pub(crate) fn alone(name: &str, body: impl FnOnce(&Scene)) {
    if let Some(state) = std::env::var_os(STATE) {
        let state = PathBuf::from(state);
        let folder = state.with_file_name("layers");
        fs::create_dir_all(&folder).expect("a folder");
        body(&Scene { state, folder, api: Dlls::new() });
        return;
    }
    if !simulator_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let output = again(name, folder.path()).output().expect("this program");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // What was not ended on purpose is an error of the test or of the calls.
    let left = fs::read_to_string(folder.path().join("state/left.txt")).expect("what is left");
    assert_eq!(left, "", "left behind");
}

/// A part of another test, which has a process of its own. Does nothing where nobody has asked for it.
pub(crate) fn part(body: impl FnOnce(&Scene)) {
    if std::env::var_os(STATE).is_some() {
        alone("", body);
    }
}

/// This program as one that runs one test.
fn again(name: &str, folder: &Path) -> Command {
    let (_, name) = name.split_once("::").expect("the name of a test in a crate");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", name, "--nocapture", "--include-ignored"]).env(STATE, folder.join("state"));
    command
}

/// Whether the libraries are the simulator's. Says so visibly when they are not.
pub(crate) fn simulator_is_here() -> bool {
    if std::env::var_os("POLYARCH_HCS_SIMULATOR_IS_HERE").is_some() {
        return true;
    }
    let must = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!must, "needs the simulator of the Host Compute Service: ci/windows.sh test");
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    {
        eprintln!("SKIPPED: needs the simulator of the Host Compute Service (ci/windows.sh test)");
    }
    false
}

/// A backup stream with one record of data.
pub(crate) fn data(content: &[u8]) -> Vec<u8> {
    record(1, content)
}

/// A record of a backup stream without a name.
pub(crate) fn record(kind: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend((content.len() as u64).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(content);
    bytes
}

impl Scene {
    /// This program as one that runs another test in this state.
    pub(crate) fn again(&self, name: &str) -> Command {
        again(name, self.state.parent().expect("a folder"))
    }

    /// What there still is, as of now.
    pub(crate) fn left(&self) -> Vec<String> {
        self.api.systems("nobody").expect("the systems of nobody");
        let left = fs::read_to_string(self.state.join("left.txt")).expect("what is left");
        left.lines().map(|line| line.replace(&format!(r"{}\", self.folder.display()), "")).collect()
    }

    /// Lets calls of a function fail: lines as the simulator takes them.
    pub(crate) fn fail(&self, call: &str, lines: &str) {
        fs::create_dir_all(self.state.join("fail")).expect("a folder");
        fs::write(self.state.join("fail").join(call), lines).expect("a file");
    }

    /// How a layer is named by those above it.
    pub(crate) fn below(&self, name: &str) -> LayerBelow {
        LayerBelow { id: self.api.layer_id(name).expect("an id"), path: self.folder.join(name) }
    }

    /// A base layer with a few files.
    pub(crate) fn base(&self, name: &str) -> LayerBelow {
        let files = self.folder.join(name).join("Files");
        fs::create_dir(self.folder.join(name)).expect("a folder");
        for directory in ["", "sub", "old"] {
            let path = files.join(directory);
            self.api.write_backup(&path, &DIRECTORY, &mut io::empty()).expect("a directory");
        }
        for (file, content) in [
            ("keep.txt", "kept"),
            ("change.txt", "before"),
            ("gone.txt", "here"),
            (r"sub\inner.txt", "in"),
            (r"old\one.txt", "1"),
        ] {
            let stream = data(content.as_bytes());
            self.api.write_backup(&files.join(file), &FILE, &mut stream.as_slice()).expect("a file");
        }
        self.api.process_base(&self.folder.join(name)).expect("a base");
        self.below(name)
    }

    /// A scratch that is prepared, and its volume.
    pub(crate) fn prepared(&self, name: &str, below: &[LayerBelow]) -> (PathBuf, String) {
        let layer = self.folder.join(name);
        self.api.create_scratch(&layer, below).expect("a scratch");
        self.api.activate_layer(&layer).expect("an active layer");
        self.api.prepare_layer(&layer, below).expect("a prepared layer");
        let volume = self.api.mount_path(&layer).expect("a volume");
        (layer, volume)
    }

    /// A system that runs on a volume.
    pub(crate) fn running(&self, id: &str, volume: &str, below: &[LayerBelow]) -> Box<dyn ComputeSystem> {
        let system = self.api.create_system(id, &document(volume, below).to_string()).expect("a system");
        system.start().expect("a start");
        system
    }

    /// Undoes what [`prepared`](Self::prepared) does.
    pub(crate) fn destroy(&self, layer: &Path) {
        self.api.unprepare_layer(layer).expect("an unprepared layer");
        self.api.deactivate_layer(layer).expect("an inactive layer");
        self.api.destroy_layer(layer).expect("a destroyed layer");
    }
}

/// The document of a system.
pub(crate) fn document(volume: &str, below: &[LayerBelow]) -> Value {
    let layers: Vec<Value> =
        below.iter().map(|layer| json!({ "Id": layer.id.to_string(), "Path": layer.path })).collect();
    json!({
        "Owner": "polyarch",
        "SchemaVersion": { "Major": 2, "Minor": 1 },
        "ShouldTerminateOnLastHandleClosed": true,
        "Container": {
            "GuestOs": { "HostName": "b" },
            "Storage": { "Path": volume, "Layers": layers },
        },
    })
}

/// The document of a process that runs a command line of `cmd`.
pub(crate) fn command(line: &str) -> Value {
    json!({
        "CommandLine": format!("cmd /S /C \"{line}\""),
        "WorkingDirectory": r"C:\",
        "Environment": { "GIVEN": "a value" },
        "EmulateConsole": false,
        "CreateStdInPipe": true,
        "CreateStdOutPipe": true,
        "CreateStdErrPipe": true,
    })
}

/// Runs a process to its end.
pub(crate) fn run(system: &dyn ComputeSystem, document: &Value) -> HcsResult<Ended> {
    let StartedProcess { process, mut stdout, mut stderr } = system.create_process(&document.to_string())?;
    let errors = std::thread::spawn(move || io::read_to_string(&mut stderr).expect("standard error"));
    let stdout = io::read_to_string(&mut stdout).expect("standard output");
    let status = serde_json::from_str(&process.wait()?).expect("a status");
    Ok(Ended { status, stdout, stderr: errors.join().expect("a reader") })
}

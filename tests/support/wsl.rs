//! A stand-in of `wsl.exe` that leads into this Linux and takes no more than the real one does.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use polyarch::{
    backend::buildah::wsl::{LocalTransport, WslBackend, WslOptions, WslTransport},
    oci::Store,
};

use super::{buildah::skip, command::is_root, tools};

/// What goes wrong with `wsl.exe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Injected {
    Nothing,
    /// It says something in UTF-16 and ends with -1.
    Refuses(&'static str),
    /// It ends with -1 in the middle of a build, and what runs in the distribution goes on.
    DiesWhileBuilding,
    /// It does not pass on that its input has ended, and itself ends.
    IsDeafInTheEnd,
    /// It knows no distribution.
    Empty,
}

/// The program, in a folder.
pub(crate) struct StandIn {
    program: PathBuf,
    folder: PathBuf,
}

/// Whether this machine has what every test needs.
pub(crate) fn ready() -> bool {
    let tools = ["buildah", "skopeo", "umoci", "docker-registry", "setsid", "unshare"];
    tools.into_iter().all(tools::require) && (is_root() || skip("only root is root in a distribution"))
}

impl StandIn {
    /// A backend without `wsl.exe`.
    pub(crate) fn local(folder: &Path) -> (Store, WslBackend) {
        let store = Store::open(folder.join("store-local")).expect("a store");
        (store.clone(), WslBackend::new(store, LocalTransport::new(home(folder)), WslOptions::default()))
    }

    pub(crate) fn new(folder: &Path, injected: Injected) -> Self {
        let program = folder.join("wsl.exe");
        let (mode, words) = match injected {
            Injected::Nothing => ("nothing", ""),
            Injected::Refuses(words) => ("refuses", words),
            Injected::DiesWhileBuilding => ("dies", ""),
            Injected::IsDeafInTheEnd => ("deaf", ""),
            Injected::Empty => ("empty", ""),
        };
        let script = include_str!("wsl.sh").replace("@MODE@", mode).replace("@WORDS@", words);
        let script = script.replace("@HOME@", &home(folder));
        fs::write(&program, script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        Self { program, folder: folder.to_owned() }
    }

    /// One that is not there.
    pub(crate) fn absent(folder: &Path) -> Self {
        Self { program: folder.join("nowhere/wsl.exe"), folder: folder.to_owned() }
    }

    /// A backend that goes through the stand-in.
    pub(crate) fn backend(&self, distribution: Option<&str>) -> (Store, WslBackend) {
        let store = Store::open(self.folder.join("store-wsl")).expect("a store");
        let options = WslOptions { distribution: distribution.map(str::to_owned), ..WslOptions::default() };
        (store.clone(), WslBackend::new(store, WslTransport::new(&self.program), options))
    }
}

/// The home of root in the distribution of a test.
fn home(folder: &Path) -> String {
    folder.join("home").display().to_string()
}

/// What the builds of a test have left in the distribution: files, and processes that have the folder or `mark` in their
/// command line.
pub(crate) fn left(folder: &Path, mark: Option<&str>) -> Vec<String> {
    let home = home(folder);
    let place = Path::new(&home).join(".cache/polyarch-builds");
    let files = fs::read_dir(place).into_iter().flatten().flatten();
    let mut left: Vec<String> = files.map(|entry| format!("file {}", entry.path().display())).collect();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&home) || mark.is_some_and(|mark| command.contains(mark)) {
            left.push(format!("process {}: {command}", entry.path().display()));
        }
        let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        left.extend(
            mounts.lines().filter(|mount| mount.contains(&home)).map(|mount| format!("mount {mount}")),
        );
    }
    left
}

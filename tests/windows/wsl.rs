//! Linux images that the command builds in a Linux, through a stand-in of `wsl.exe`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::scene::simulator_is_here;
use crate::support::layouts::{Ended, Layout, image, polyarch};

/// What the distribution must have, by where Debian puts it.
const TOOLS: [&str; 4] = ["usr/bin/buildah", "usr/bin/setsid", "usr/bin/unshare", "bin/busybox"];

/// A folder in Linux.
struct Scene(tempfile::TempDir);

impl Scene {
    /// A base that is busybox, a context with a Dockerfile, and a way into Linux. Absent where that cannot be.
    fn new(dockerfile: &str) -> Option<Self> {
        if !simulator_is_here() {
            return None;
        }
        for tool in TOOLS {
            if !Path::new(r"Z:\").join(tool).exists() {
                let must = std::env::var_os("CI").is_some_and(|value| value == "true");
                assert!(!must, "needs /{tool}");
                #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
                {
                    eprintln!("SKIPPED: needs /{tool}");
                }
                return None;
            }
        }
        let scene = Self(tempfile::tempdir_in(r"Z:\tmp").expect("a folder"));
        let folder = scene.0.path();
        let platform = json!({ "os": "linux", "architecture": "amd64" });
        image(&folder.join("base"), &platform, &[busybox()]);
        fs::create_dir(folder.join("context")).expect("a folder");
        fs::write(folder.join("context/Dockerfile"), dockerfile).expect("a Dockerfile");
        fs::write(folder.join("context/hello.txt"), "hello there\n").expect("a file");
        let script = include_str!("../support/wsl.sh").replace("@MODE@", "nothing").replace("@WORDS@", "");
        fs::write(folder.join("wsl.sh"), script.replace("@HOME@", &scene.linux("home"))).expect("a script");
        Some(scene)
    }

    /// What Linux calls something in the folder.
    fn linux(&self, name: &str) -> String {
        let path = self.0.path().join(name).display().to_string().replace('\\', "/");
        path.strip_prefix("Z:").expect("a path of Linux").to_owned()
    }

    fn command(&self) -> Command {
        let mut command = polyarch(self.0.path());
        command.env("POLYARCH_WSL_STAND_IN", self.linux("wsl.sh"));
        command.args(["build", "--store", "store", "--progress", "plain", "--platform", "linux/amd64"]);
        command.args(["--build-context", "base=oci-layout://base", "--tag", "built", "context"]);
        command
    }

    fn build(&self) -> Ended {
        self.command().output().expect("the program").into()
    }

    /// The folders of builds in Linux.
    fn folders(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.0.path().join("home/.cache/polyarch-builds"));
        folders.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// What there is of builds in Linux.
    fn left(&self) -> Vec<String> {
        let folders = self.folders().into_iter().map(|path| path.display().to_string());
        folders.chain(processes(&self.linux("home"))).collect()
    }
}

/// The processes of Linux that have `mark` in their command lines.
fn processes(mark: &str) -> Vec<String> {
    let lines = fs::read_dir(r"Z:\proc").expect("processes").flatten().map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ")
    });
    // The programs of Windows are processes as well.
    lines.filter(|line| line.contains(mark) && !line.contains(".exe")).collect()
}

/// A layer with a busybox that is a shell, and all that a shell starts.
fn busybox() -> Vec<u8> {
    let program = fs::read(r"Z:\bin\busybox").expect("busybox");
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    layer.append_data(&mut header, "bin/busybox", &program[..]).expect("a member");
    for name in ["sh", "cat", "echo", "sleep"] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        layer.append_link(&mut header, format!("bin/{name}"), "busybox").expect("a member");
    }
    layer.into_inner().expect("an archive")
}

#[test]
fn a_linux_image_is_built_in_a_distribution_that_keeps_nothing() {
    let Some(scene) =
        Scene::new("FROM base\nCOPY hello.txt /\nRUN cat /hello.txt && echo made > /made.txt\n")
    else {
        return;
    };
    let said = scene.build().ok();
    assert!(said.contains("hello there"), "{said}");
    let layers = Layout(scene.0.path().join("store")).layers();
    let made = ("made.txt".to_owned(), "made\n".to_owned());
    assert!(layers.last().expect("layers").contains(&made), "{layers:?}");
    assert_eq!(scene.left(), Vec::<String>::new());
}

#[test]
fn a_command_that_fails_in_a_distribution_is_told_with_its_code() {
    let Some(scene) = Scene::new("FROM base\nRUN echo all is lost && exit 7\n") else { return };
    let Ended { code, said } = scene.build();
    assert_eq!(code, Some(4), "{said}");
    let (_, error) = said.rsplit_once("error:").expect("an error");
    assert!(error.contains('7') && error.contains("│ all is lost"), "{said}");
    assert_eq!(scene.left(), Vec::<String>::new());
}

#[test]
fn a_killed_command_leaves_no_process_and_no_folder_in_the_distribution() {
    // A number that no other process sleeps for.
    let seconds = 600_000 + std::process::id();
    let Some(scene) = Scene::new(&format!("FROM base\nRUN sleep {seconds}\n")) else { return };
    let sleeps = format!("sleep {seconds}");
    let mut command = scene.command();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
    wait(|| processes(&sleeps).iter().any(|line| line.trim() == sleeps), "the step begins");
    assert!(!scene.folders().is_empty());
    child.kill().expect("killed");
    child.wait().expect("an end");
    wait(|| scene.left().is_empty() && processes(&sleeps).is_empty(), "everything ends");
}

/// Waits until something is so.
fn wait(is: impl Fn() -> bool, what: &str) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_mins(1), "still waiting: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

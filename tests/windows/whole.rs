//! What whole builds are made of: a base, a context, the command, and what it leaves in the store.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use super::scene::Scene;
use crate::support::layouts::{Ended, Layout, polyarch, windows_base};

/// A Dockerfile whose stages run something in containers of Windows.
pub(crate) const DOCKERFILE: &str = "FROM base AS made\nCOPY hello.txt C:/app/\nWORKDIR C:/app\n\
    RUN type hello.txt & echo first>one.txt\nRUN type one.txt & del hello.txt\n\
    FROM base\nCOPY --from=made C:/app/one.txt C:/taken/\n";

/// Makes a context, and beside it a layout with a base.
pub(crate) fn prepare(scene: &Scene, dockerfile: &str) {
    let context = scene.folder.join("context");
    windows_base(&scene.folder.join("base"));
    fs::create_dir(&context).expect("a folder");
    fs::write(context.join("Dockerfile"), dockerfile).expect("a Dockerfile");
    fs::write(context.join("hello.txt"), "hello there\n").expect("a file");
}

/// The command that builds it for Windows.
fn command(scene: &Scene) -> Command {
    let mut command = polyarch(&scene.folder);
    command.args(["build", "--store", "store", "--progress", "plain", "--platform", "windows/amd64"]);
    command.args(["--build-context", "base=oci-layout://base", "--tag", "built", "context"]);
    command
}

/// Builds it.
pub(crate) fn build(scene: &Scene) -> Ended {
    command(scene).output().expect("the program").into()
}

/// Begins to build it.
pub(crate) fn begin(scene: &Scene) -> Child {
    let mut command = command(scene);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program")
}

/// How often a function of Windows was called so far.
pub(crate) fn calls(scene: &Scene, function: &str) -> usize {
    let calls = fs::read_to_string(scene.state.join("calls.txt")).unwrap_or_default();
    calls.lines().filter(|line| line.split(' ').next() == Some(function)).count()
}

/// The store, which has one name.
pub(crate) fn stored(scene: &Scene) -> Layout {
    Layout(scene.folder.join("store"))
}

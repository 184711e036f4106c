//! Gives an image to whatever keeps images on this machine: docker, podman or buildah.

use std::{
    io::{Read as _, Seek as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::error::OutputError;

/// The programs, each with what asks whether it works and what loads an archive, in the order in which they are tried.
const LOADERS: [Loader; 3] = [
    Loader { program: "docker", question: "version", load: &["load", "--quiet", "--input"], prefix: "" },
    Loader { program: "podman", question: "info", load: &["load", "--quiet", "--input"], prefix: "" },
    Loader { program: "buildah", question: "version", load: &["pull", "--quiet"], prefix: "docker-archive:" },
];
/// How often it is looked whether a program has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A program that images can be loaded into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loader {
    program: &'static str,
    /// What fails where it cannot be used, such as docker without its daemon.
    question: &'static str,
    load: &'static [&'static str],
    prefix: &'static str,
}

impl Loader {
    /// The first that works here.
    pub(crate) fn find() -> Option<Self> {
        LOADERS.into_iter().find(|loader| {
            let mut command = Command::new(loader.program);
            command.arg(loader.question).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    }

    /// What it is called.
    pub(super) fn program(self) -> &'static str {
        self.program
    }

    /// Loads an archive of docker's form.
    pub(super) fn load(self, archive: &Path, cancel: &CancellationToken) -> Result<(), OutputError> {
        let failed = |reason: String| OutputError::Load { program: self.program, reason };
        let odd = |error: std::io::Error| failed(error.to_string());
        let mut told = tempfile::tempfile().map_err(odd)?;
        let mut command = Command::new(self.program);
        command.args(self.load).arg(format!("{}{}", self.prefix, archive.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(told.try_clone().map_err(odd)?);
        let mut child = command.spawn().map_err(odd)?;
        let ended = wait(&mut child, cancel).map_err(odd)?;
        if cancel.is_cancelled() {
            return Err(OutputError::Cancelled);
        }
        if ended {
            return Ok(());
        }
        let mut text = String::new();
        told.rewind().and_then(|()| told.read_to_string(&mut text)).map_err(odd)?;
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        Err(failed(last.unwrap_or("it says nothing").to_owned()))
    }
}

/// Whether the program ended well; it is killed when the build is cancelled.
fn wait(child: &mut Child, cancel: &CancellationToken) -> std::io::Result<bool> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if cancel.is_cancelled() {
            child.kill()?;
            return child.wait().map(|_| false);
        }
        thread::sleep(PAUSE);
    }
}

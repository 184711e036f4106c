//! Starts `sandbox-exec`, passes on what comes out, and ends what came of it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
};
use tokio_util::sync::CancellationToken;

use super::{
    group::Group,
    profile::{Profile, ProfileError},
};
use crate::session::{Ended, Output, Stream};

/// How much is passed on at once, in bytes.
const PIECE: usize = 16 << 10;

/// A program of macOS, and what it may use.
#[derive(Clone, Debug, Default)]
pub struct Confined {
    /// The program, absolute.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its environment; nothing of this process's own is added but `TMPDIR`, which is a new folder.
    pub environment: BTreeMap<OsString, OsString>,
    /// The folder that it may change, in which it starts.
    pub rootfs: PathBuf,
    /// A folder of which it sees nothing but what it may change.
    pub home: PathBuf,
    /// Whether it reaches the network.
    pub network: bool,
}

/// Runs programs in Seatbelt.
#[derive(Clone, Debug)]
pub struct Seatbelt {
    program: PathBuf,
}

/// Why a program was not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum SeatbeltError {
    /// It was cancelled, and everything of it is gone.
    #[error("cancelled")]
    Cancelled,
    /// There is no profile for it.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The system refused something.
    #[error("cannot {action}")]
    Io {
        /// What was tried, beginning with a verb.
        action: String,
        /// Why not.
        source: io::Error,
    },
}

impl Default for Seatbelt {
    /// That of the system.
    fn default() -> Self {
        Self::new("/usr/bin/sandbox-exec")
    }
}

impl Seatbelt {
    /// Starts programs through `program`, which takes what `sandbox-exec` does.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Runs a program to its end and passes on what it writes. What it has left running then is killed.
    ///
    /// When it is cancelled, everything of it is gone before this returns, but for what has made itself a group of its own,
    /// which Seatbelt goes on to confine. When the future is dropped, it is killed. Its temporary folder goes with it.
    ///
    /// # Errors
    /// Not when the program fails, which is an outcome.
    pub async fn run(
        &self,
        confined: &Confined,
        output: Output<'_>,
        cancel: &CancellationToken,
    ) -> Result<Ended, SeatbeltError> {
        // Dropped after the group, so that nothing writes there any more.
        let files = tempfile::Builder::new().prefix("polyarch-seatbelt").tempdir();
        let files = files.map_err(failed("make a temporary folder"))?;
        let mut command = self.command(confined, files.path())?;
        let mut group =
            Group::start(&mut command).map_err(failed(format!("run {}", self.program.display())))?;
        let ended = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(SeatbeltError::Cancelled),
            ended = follow(&mut group, output) => ended.map_err(failed("follow the program")),
        };
        group.end().await;
        ended
    }

    /// The command line, with the profile and a temporary folder in `files`.
    fn command(&self, confined: &Confined, files: &Path) -> Result<Command, SeatbeltError> {
        let real = |path: &Path| {
            fs::canonicalize(path).map_err(failed(format!("find out where {} is", path.display())))
        };
        let temporary = files.join("tmp");
        fs::create_dir(&temporary).map_err(failed("make a temporary folder"))?;
        let temporary = real(&temporary)?;
        let (rootfs, home) = (real(&confined.rootfs)?, real(&confined.home)?);
        let profile = Profile::new(&rootfs, &temporary, &home, confined.network)?;
        let file = files.join("profile.sb");
        fs::write(&file, profile.text()).map_err(failed("write the profile"))?;
        let mut command = Command::new(&self.program);
        command.arg("-f").arg(file);
        for parameter in profile.parameters() {
            command.arg("-D").arg(parameter);
        }
        command.arg(&confined.program).args(&confined.arguments);
        command.env_clear().envs(&confined.environment).env("TMPDIR", temporary).current_dir(rootfs);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// Passes on what a program writes until it ends.
async fn follow(group: &mut Group, output: Output<'_>) -> io::Result<Ended> {
    let (mut stdout, mut stderr) = group.streams();
    let mut status = None;
    let (mut out, mut err) = (vec![0; PIECE], vec![0; PIECE]);
    while status.is_none() || stdout.is_some() || stderr.is_some() {
        tokio::select! {
            read = next(&mut stdout, &mut out), if stdout.is_some() => match read? {
                0 => stdout = None,
                read => output(Stream::Stdout, &out[..read]),
            },
            read = next(&mut stderr, &mut err), if stderr.is_some() => match read? {
                0 => stderr = None,
                read => output(Stream::Stderr, &err[..read]),
            },
            ended = group.leader(), if status.is_none() => {
                status = Some(ended?);
                // What it has left running may hold the streams open for ever.
                group.end().await;
            }
        }
    }
    let status = status.unwrap_or_default();
    Ok(match (status.code(), status.signal()) {
        (None, Some(signal)) => Ended::Signal(signal),
        (code, _) => Ended::Code(code.unwrap_or_default()),
    })
}

async fn next(stream: &mut Option<impl AsyncRead + Unpin>, piece: &mut [u8]) -> io::Result<usize> {
    match stream {
        Some(stream) => stream.read(piece).await,
        None => Ok(0),
    }
}

fn failed(action: impl Into<String>) -> impl FnOnce(io::Error) -> SeatbeltError {
    let action = action.into();
    move |source| SeatbeltError::Io { action, source }
}

#[cfg(test)]
#[path = "confined_tests.rs"]
mod tests;

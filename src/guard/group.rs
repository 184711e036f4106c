//! Programs in a group of processes that ends as one: a job of Windows, a process group elsewhere.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

#[cfg(windows)]
use process_wrap::tokio::JobObject;
#[cfg(unix)]
use process_wrap::tokio::ProcessGroup;
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::command::{Command, Exit, GuardError};

/// Runs programs in turn. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Programs {
    running: Option<Box<dyn ChildWrapper>>,
}

impl Programs {
    /// Starts nothing yet, and needs no helper. The folder is removed by whoever made it.
    #[expect(clippy::unused_async, reason = "it is the same everywhere")]
    pub(crate) async fn start(_: PathBuf, _: &Path) -> Result<Self, GuardError> {
        Ok(Self { running: None })
    }

    /// Runs a program to its end and collects what it writes, up to `most` bytes of each stream. When the future is
    /// dropped, the program goes on until this is.
    pub(crate) async fn output(
        &mut self,
        command: &Command,
        most: usize,
    ) -> Result<(Exit, Vec<u8>, Vec<u8>), GuardError> {
        let mut stdout = Vec::new();
        let mut take = |bytes: &[u8]| {
            let room = most.saturating_sub(stdout.len()).min(bytes.len());
            stdout.extend_from_slice(&bytes[..room]);
            true
        };
        let ended = self.read(command, most, &mut take).await?;
        let (exit, stderr) = ended.ok_or_else(|| GuardError::Run("it was not read to its end".into()))?;
        Ok((exit, stdout, stderr))
    }

    /// Runs a program and gives `take` what it writes to its standard output; up to `most` bytes of its standard error
    /// are collected. `None` when `take` wants no more: then the program has ended.
    pub(crate) async fn read(
        &mut self,
        command: &Command,
        most: usize,
        take: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<Option<(Exit, Vec<u8>)>, GuardError> {
        self.kill().await;
        let mut process = command.to_std();
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut wrap = CommandWrap::from(tokio::process::Command::from(process));
        wrap.wrap(KillOnDrop);
        #[cfg(windows)]
        wrap.wrap(JobObject);
        #[cfg(unix)]
        wrap.wrap(ProcessGroup::leader());
        let failed = |error: std::io::Error| {
            GuardError::Run(format!("{} cannot be run: {error}", command.program.display()))
        };
        let mut child = wrap.spawn().map_err(failed)?;
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let child = self.running.insert(child);
        let all = async { tokio::join!(child.wait(), collect(stderr, most)) };
        let ended = tokio::try_join!(async { Ok(all.await) }, feed(stdout, take));
        let Ok(((status, stderr), ())) = ended else {
            self.kill().await;
            return Ok(None);
        };
        self.running = None;
        Ok(Some((Exit::from(status.map_err(failed)?), stderr)))
    }

    /// Ends what runs. Nothing does any more when this returns.
    pub(crate) async fn end(mut self) {
        self.kill().await;
    }

    async fn kill(&mut self) {
        if let Some(mut child) = self.running.take()
            && let Err(error) = Box::into_pin(child.kill()).await
        {
            tracing::debug!(%error, "a program cannot be ended");
        }
    }
}

/// `take` wants no more.
struct Enough;

/// Gives `take` everything, unless it wants no more.
async fn feed(
    stream: Option<impl AsyncRead + Unpin>,
    take: &mut (dyn FnMut(&[u8]) -> bool + Send),
) -> Result<(), Enough> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = vec![0; 32 << 10];
    while let Ok(read) = stream.read(&mut buffer).await
        && read > 0
    {
        if !take(&buffer[..read]) {
            return Err(Enough);
        }
    }
    Ok(())
}

/// Reads to the end and keeps no more than `most` bytes.
async fn collect(stream: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let Some(mut stream) = stream else { return Vec::new() };
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 32 << 10]);
    while let Ok(read) = stream.read(&mut buffer).await
        && read > 0
    {
        let room = most.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
    }
    kept
}

//! What a guard runs: a command or work in a cell, or a command alone where namespaces are denied.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use super::{
    cell::CellReport,
    command::{Command, Exit},
    descendants,
    entry::CELL_ROLE,
    process::Process,
    protocol::{Report, STDERR, STDOUT, Task, frame_head},
};

/// How much output is passed on at once.
const CHUNK: usize = 32 << 10;

/// The host does not permit namespaces.
pub(super) struct Denied;

/// The first process of a cell, which waits for its task.
pub(super) struct Cell {
    process: Process,
    lifeline: BufReader<UnixStream>,
}

impl Cell {
    /// Starts the first process of a new cell and waits until its namespaces are made.
    pub(super) async fn start(group: Option<&str>) -> io::Result<Result<Self, Denied>> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = std::process::Command::new("/proc/self/exe");
        command.arg(CELL_ROLE).args(group).stdin(Stdio::from(OwnedFd::from(theirs)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(process) = Process::start(command, true).await else { return Ok(Err(Denied)) };
        let mut cell = Self { process, lifeline: BufReader::new(UnixStream::from_std(ours)?) };
        if let Some(CellReport::Ready) = cell.report().await {
            return Ok(Ok(cell));
        }
        cell.process.kill().await;
        Ok(Err(Denied))
    }

    /// Ends a cell that nobody needs.
    pub(super) async fn kill(mut self) {
        self.process.kill().await;
    }

    async fn report(&mut self) -> Option<CellReport> {
        let mut line = Vec::new();
        self.lifeline.read_until(b'\n', &mut line).await.ok()?;
        serde_json::from_slice(&line).ok()
    }

    pub(super) async fn run(mut self, task: &Task) -> Result<Running, String> {
        let mut line = serde_json::to_vec(task).map_err(|error| error.to_string())?;
        line.push(b'\n');
        self.lifeline.get_mut().write_all(&line).await.map_err(|error| error.to_string())?;
        Ok(Running { process: self.process, cell: Some(self.lifeline) })
    }
}

/// A command that runs.
pub(super) struct Running {
    process: Process,
    /// Where the cell reports, if there is one.
    cell: Option<BufReader<UnixStream>>,
}

impl Running {
    /// Starts a command without a cell.
    pub(super) async fn start(command: &Command) -> Result<Self, String> {
        let mut process = command.to_std();
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match Process::start(process, false).await {
            Ok(process) => Ok(Self { process, cell: None }),
            Err(error) => Err(format!("{} cannot be run: {error}", command.program.display())),
        }
    }

    /// Passes the output on until the command has ended.
    pub(super) async fn follow(&mut self, replies: &mut (impl AsyncWrite + Unpin)) -> io::Result<Report> {
        let mut stdout = self.process.stdout.take();
        let mut stderr = self.process.stderr.take();
        let (mut out, mut err) = (vec![0; CHUNK], vec![0; CHUNK]);
        let mut exit = None;
        while stdout.is_some() || stderr.is_some() || exit.is_none() {
            let read = tokio::select! {
                read = read_some(&mut stdout, &mut out) => Some((STDOUT, &out, read)),
                read = read_some(&mut stderr, &mut err) => Some((STDERR, &err, read)),
                status = self.process.wait(), if exit.is_none() => {
                    exit = Some(status);
                    None
                }
            };
            match read {
                Some((kind, buffer, length)) if length > 0 => send(replies, kind, &buffer[..length]).await?,
                // Without a namespace, what the command left behind may hold its output open for ever.
                None if self.cell.is_none() => {
                    descendants::kill_all().await;
                }
                _ => {}
            }
        }
        let exit = exit.flatten().map_or(Exit { code: None, signal: None }, Exit::from);
        let Some(cell) = &mut self.cell else { return Ok(Report::Exited(exit)) };
        let mut line = Vec::new();
        cell.read_until(b'\n', &mut line).await?;
        Ok(match serde_json::from_slice(&line) {
            Ok(CellReport::Exited(exit)) => Report::Exited(exit),
            Ok(CellReport::Failed(reason) | CellReport::Refused(reason)) => Report::Failed(reason),
            // Something killed the cell itself: the kernel for want of memory, or a person.
            Ok(CellReport::Ready) | Err(_) => Report::Exited(exit),
        })
    }

    /// Leaves nothing running.
    pub(super) async fn end(mut self) {
        self.process.kill().await;
        if self.cell.is_none() {
            descendants::kill_all().await;
        }
    }
}

/// Reads what there is; 0 when the stream ended, and never again then.
async fn read_some<R: AsyncRead + Unpin>(stream: &mut Option<R>, buffer: &mut [u8]) -> usize {
    let Some(open) = stream else { return std::future::pending().await };
    let read = open.read(buffer).await.unwrap_or(0);
    if read == 0 {
        *stream = None;
    }
    read
}

/// Sends a frame.
pub(super) async fn send(
    replies: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    content: &[u8],
) -> io::Result<()> {
    replies.write_all(&frame_head(kind, content.len())).await?;
    replies.write_all(content).await
}

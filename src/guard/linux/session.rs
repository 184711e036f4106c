//! The guard process: runs commands for the orchestrator, and ends with it.

use std::{
    io::{self, Write as _},
    os::{fd::AsFd, unix::net::UnixStream as StdUnixStream},
};

use nix::sys::prctl;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    cleanup,
    command::{Command, Exit},
    layers,
    protocol::{Mode, REPORT, Report, Request, Setup, Task},
    running::{Cell, Denied, Running, send},
};

/// Runs a guard. Its standard input is the lifeline, and its standard output is only held open: the
/// orchestrator hands over a lock that way.
pub(super) fn main() -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve()));
    if let Err(error) = &served {
        // The orchestrator reads this while it is there.
        let _ = writeln!(io::stderr(), "{error}");
    }
    i32::from(served.is_err())
}

async fn serve() -> io::Result<()> {
    // What ends the orchestrator closes the lifeline as well, and then the guard still has to clean up. A
    // handler instead of ignoring, which the commands would inherit.
    let _deaf: Vec<Signal> = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()]
        .into_iter()
        .map(signal)
        .collect::<io::Result<_>>()?;
    prctl::set_child_subreaper(true)?;
    let lifeline = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    lifeline.set_nonblocking(true)?;
    let (requests, replies) = UnixStream::from_std(lifeline)?.into_split();
    let mut guard = Session {
        requests: BufReader::new(requests),
        replies,
        setup: Setup::default(),
        mode: Mode::Namespaces,
        spare: None,
        killed: false,
        failed: false,
    };
    // However it ends, nothing is running any more when the clean-up begins.
    let served = guard.serve().await;
    guard.clean().await;
    guard.discard_spare().await;
    served
}

struct Session {
    requests: BufReader<OwnedReadHalf>,
    replies: OwnedWriteHalf,
    setup: Setup,
    mode: Mode,
    /// A cell that waits for its task.
    spare: Option<Cell>,
    /// Whether a command did not end by itself.
    killed: bool,
    /// Whether a command did not end well.
    failed: bool,
}

impl Session {
    async fn serve(&mut self) -> io::Result<()> {
        while let Some(request) = self.request().await? {
            match request {
                Request::Setup(setup) => {
                    self.setup = setup;
                    match self.cell().await? {
                        // It serves for the first command.
                        Ok(cell) => self.spare = Some(cell),
                        Err(Denied) => self.mode = Mode::Descendants,
                    }
                    self.report(&Report::Ready(self.mode)).await?;
                }
                Request::Run(command) => self.run(&Task::Run(command), false).await?,
                Request::Work(work) => self.run(&Task::Work(work.order), work.more).await?,
                Request::Clean => {
                    // Whoever asks does so because of an earlier end.
                    (self.killed, self.failed) = (true, true);
                    let problems = self.clean().await;
                    self.report(&Report::Cleaned(problems)).await?;
                }
            }
        }
        Ok(())
    }

    /// The next request; `None` when the orchestrator closed the lifeline, or is no more.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        let mut line = Vec::new();
        match self.requests.read_until(b'\n', &mut line).await {
            Ok(_) if line.ends_with(b"\n") => Ok(Some(serde_json::from_slice(&line)?)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn report(&mut self, report: &Report) -> io::Result<()> {
        let report = serde_json::to_vec(report)?;
        send(&mut self.replies, REPORT, &report).await
    }

    /// Cleans up. Returns what could not be done.
    async fn clean(&mut self) -> Vec<String> {
        // It may be in a control group that is removed.
        self.discard_spare().await;
        let mut problems = cleanup::remove_files(&self.setup.cleanup, self.killed);
        let commands = cleanup::due(&self.setup.cleanup);
        for due in &commands {
            let ran = self.run_quietly(due.command.clone()).await;
            let removed = cleanup::remove_otherwise(due);
            problems.extend(removed.and(ran).err());
        }
        if !commands.is_empty() {
            // The commands themselves leave some.
            problems.extend(cleanup::remove_files(&self.setup.cleanup, self.killed));
        }
        if self.failed {
            let removed = self.setup.cleanup.layers.iter().map(layers::remove_unused);
            problems.extend(removed.filter_map(Result::err));
        }
        cleanup::finish(&self.setup.cleanup, &problems);
        problems
    }

    /// Ends the cell that waits.
    async fn discard_spare(&mut self) {
        if let Some(cell) = self.spare.take() {
            cell.kill().await;
        }
    }

    /// Runs a command of the clean-up, in a cell as well: buildah mounts its storage whatever it does.
    async fn run_quietly(&mut self, command: Command) -> Result<(), String> {
        let (mut said, mut listener) = UnixStream::pair().map_err(|error| error.to_string())?;
        let program = command.program.display().to_string();
        let mut running = self.start(&Task::Run(command)).await?;
        let followed = async {
            let followed = running.follow(&mut said).await;
            drop(said);
            followed
        };
        let mut frames = Vec::new();
        let (report, _) = tokio::join!(followed, listener.read_to_end(&mut frames));
        running.end().await;
        if let Ok(Report::Exited(Exit { code: Some(0), .. })) = report {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&frames);
        Err(format!("{program} failed: {}", said.trim()))
    }

    async fn start(&mut self, task: &Task) -> Result<Running, String> {
        match (self.mode, task) {
            (Mode::Namespaces, task) => match self.cell().await {
                Ok(Ok(cell)) => cell.run(task).await,
                Ok(Err(Denied)) => Err("a namespace that was granted before is denied now".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            (Mode::Descendants, Task::Run(command)) => Running::start(command).await,
            (Mode::Descendants, Task::Work(_)) => Err("namespaces are not permitted here".to_owned()),
        }
    }

    /// Does a task to its end. Where `more` are about to follow, the next cell is made meanwhile.
    async fn run(&mut self, task: &Task, more: bool) -> io::Result<()> {
        let mut running = match self.start(task).await {
            Ok(running) => running,
            Err(reason) => return self.report(&Report::Failed(reason)).await,
        };
        let prepare =
            async { if more { Cell::start(self.setup.group.as_deref()).await.ok()?.ok() } else { None } };
        let follow = async {
            // During a run the orchestrator says nothing, so whatever can be read is the end of the lifeline.
            tokio::select! {
                followed = running.follow(&mut self.replies) => followed,
                _ = self.requests.fill_buf() => Err(io::ErrorKind::BrokenPipe.into()),
            }
        };
        let followed;
        (followed, self.spare) = tokio::join!(follow, prepare);
        running.end().await;
        self.killed |= !matches!(&followed, Ok(Report::Exited(Exit { code: Some(_), .. })));
        self.failed |= !matches!(&followed, Ok(Report::Exited(Exit { code: Some(0), .. })));
        let ended = followed?;
        self.report(&ended).await
    }

    /// The cell that waits, or a new one.
    async fn cell(&mut self) -> io::Result<Result<Cell, Denied>> {
        match self.spare.take() {
            Some(spare) => Ok(Ok(spare)),
            None => Cell::start(self.setup.group.as_deref()).await,
        }
    }
}

//! Processes that a guard starts.

use std::{
    io,
    process::{Command, ExitStatus},
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{ChildStderr, ChildStdout},
    sync::oneshot,
};

/// A running process whose output is piped.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
    state: State,
}

#[derive(Debug)]
enum State {
    Running(oneshot::Receiver<io::Result<ExitStatus>>),
    /// Absent when it was lost.
    Ended(Option<ExitStatus>),
}

impl Process {
    /// Starts a process, on request as the first one of a new pid namespace.
    ///
    /// A thread of its own starts it and waits for it. The namespace of children is a property of the thread that
    /// starts them, and there is no way back: only an administrator may return to the first namespace. The thread
    /// lives as long as the process, since the end of the thread counts as the death of the parent.
    pub(super) async fn start(mut command: Command, own_namespace: bool) -> io::Result<Self> {
        let (report_start, started) = oneshot::channel();
        let (report_end, ended) = oneshot::channel();
        thread::Builder::new().spawn(move || {
            let granted = if own_namespace { unshare(CloneFlags::CLONE_NEWPID) } else { Ok(()) };
            match granted.map_err(io::Error::from).and_then(|()| command.spawn()) {
                Ok(mut child) => {
                    let parts = (child.id(), child.stdout.take(), child.stderr.take());
                    let _ = report_start.send(Ok(parts));
                    let _ = report_end.send(child.wait());
                }
                Err(error) => {
                    let _ = report_start.send(Err(error));
                }
            }
        })?;
        let (pid, stdout, stderr) = started.await.map_err(io::Error::other)??;
        Ok(Self {
            pid: Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?),
            stdout: stdout.map(ChildStdout::from_std).transpose()?,
            stderr: stderr.map(ChildStderr::from_std).transpose()?,
            state: State::Running(ended),
        })
    }

    /// Waits for the end; `None` when it was lost. Can be called again, and dropped in between.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        if let State::Running(ended) = &mut self.state {
            self.state = State::Ended(ended.await.ok().and_then(Result::ok));
        }
        if let State::Ended(exit) = self.state { exit } else { None }
    }

    /// Kills it and waits for the end.
    pub(super) async fn kill(&mut self) {
        if matches!(&self.state, State::Running(ended) if ended.is_empty()) {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
        self.wait().await;
    }
}

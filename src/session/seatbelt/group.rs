//! A program and what it started, in a group of processes that ends as one.

use std::{io, process::ExitStatus, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// How often it is looked whether a group is gone, and how often at most: what was killed may still be waited for by
/// whoever takes care of orphans, but runs no more.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 200;

/// A program that leads a group. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Group {
    leader: Child,
    /// The number of the group, until it is gone and the number may be another's.
    id: Option<Pid>,
}

impl Group {
    /// Starts a program at the head of a new group.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let leader = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { leader, id })
    }

    pub(super) fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.leader.stdout.take(), self.leader.stderr.take())
    }

    /// Waits for the leader, whatever it has left behind.
    pub(super) async fn leader(&mut self) -> io::Result<ExitStatus> {
        self.leader.wait().await
    }

    /// Kills what is there of the group. Nothing of it runs any more when this returns.
    pub(super) async fn end(&mut self) {
        let Some(id) = self.id.take() else { return };
        let _ = killpg(id, Signal::SIGKILL);
        let _ = self.leader.wait().await;
        for _ in 0..LOOKS {
            // A process that was forked meanwhile belongs to the group and is killed here.
            if killpg(id, Signal::SIGKILL) == Err(Errno::ESRCH) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let _ = killpg(id, Signal::SIGKILL);
        }
    }
}

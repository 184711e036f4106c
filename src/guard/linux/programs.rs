//! Programs that are run one after another under a guard.

use std::path::{Path, PathBuf};

use super::{
    client::{Guard, Launch, Message},
    command::{Command, Exit, GuardError},
    protocol::{Cleanup, Emptied},
};

/// Runs programs in turn. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Programs(Guard);

impl Programs {
    /// Starts a guard, which `helper` becomes. What is in `folder` is removed when a program did not end by itself.
    pub(crate) async fn start(helper: PathBuf, folder: &Path) -> Result<Self, GuardError> {
        let emptied = Emptied { folder: folder.to_owned(), keep_prefix: None, only_after_kill: true };
        let cleanup = Cleanup { empty: vec![emptied], ..Cleanup::default() };
        let launch =
            Launch { helper, through: Vec::new(), env: Vec::new(), held: None, cleanup, group: None };
        Ok(Self(Guard::start(launch).await?))
    }

    /// Runs a program to its end and collects what it writes, up to `most` bytes of each stream.
    pub(crate) async fn output(
        &mut self,
        command: &Command,
        most: usize,
    ) -> Result<(Exit, Vec<u8>, Vec<u8>), GuardError> {
        self.0.output(command, most).await
    }

    /// Runs a program and gives `take` what it writes to its standard output; up to `most` bytes of its standard error
    /// are collected. `None` when `take` wants no more: then nothing can be run any more, and the program ends with this.
    pub(crate) async fn read(
        &mut self,
        command: &Command,
        most: usize,
        take: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<Option<(Exit, Vec<u8>)>, GuardError> {
        self.0.run(command).await?;
        let mut stderr = Vec::new();
        loop {
            match self.0.next().await? {
                Message::Stdout(bytes) if take(&bytes) => {}
                Message::Stdout(_) => return Ok(None),
                Message::Stderr(bytes) => {
                    let room = most.saturating_sub(stderr.len()).min(bytes.len());
                    stderr.extend_from_slice(&bytes[..room]);
                }
                Message::Exited(exit) => return Ok(Some((exit, stderr))),
            }
        }
    }

    /// Ends what runs. Nothing does any more when this returns.
    pub(crate) async fn end(self) {
        self.0.end().await;
    }
}

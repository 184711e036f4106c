//! Programs that are run one after another under a guard.

use std::path::{Path, PathBuf};

use super::{
    client::{Guard, Launch},
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

    /// Ends what runs. Nothing does any more when this returns.
    pub(crate) async fn end(self) {
        self.0.end().await;
    }
}

//! A folder in the distribution, held for one build.

use std::{io, time::Duration};

use polyarch_actors::BuildError;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

use super::{
    call::{self, Finished, Input},
    distribution::Entered,
    script::Script,
};

/// How long the distribution may take to begin: a virtual machine may have to start first.
const BEGINNING: Duration = Duration::from_mins(3);
/// How long an end may take, which removes a storage with many files.
const ENDING: Duration = Duration::from_mins(1);
/// How much is read of what a script says.
const MOST: usize = 64 << 10;

/// A folder for one build. It and everything that works in it are gone soon after this is dropped.
#[derive(Debug)]
pub(super) struct Work<'a> {
    into: Entered<'a>,
    id: String,
    /// Where it is in the distribution.
    pub(super) folder: String,
    /// Held open by this process alone.
    lifeline: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    /// Kept because dropping it ends it.
    holder: Child,
}

impl<'a> Work<'a> {
    pub(super) async fn begin(into: Entered<'a>, id: &str) -> Result<Self, BuildError> {
        let begun = timeout(BEGINNING, Self::try_begin(into, id)).await;
        begun.unwrap_or_else(|_| Err(host(format!("{} did not start in 3 minutes", into.name()), true)))
    }

    async fn try_begin(into: Entered<'a>, id: &str) -> Result<Self, BuildError> {
        let failed = |error: io::Error| host(format!("{} cannot be entered: {error}", into.name()), false);
        let (mut holder, lifeline) = call::start(&into, &Script::hold(id)).await.map_err(failed)?;
        let stdout = holder.stdout.take().ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let mut said = BufReader::new(stdout);
        let mut first = Vec::new();
        said.read_until(b'\n', &mut first).await.map_err(failed)?;
        let text = String::from_utf8_lossy(&first).trim_end().to_owned();
        if let Some(folder) = text.strip_prefix("folder ") {
            let said = said.lines();
            let (id, folder) = (id.to_owned(), folder.to_owned());
            return Ok(Self { into, id, folder, lifeline, said, holder });
        }
        drop(lifeline);
        let mut stdout = first;
        said.read_to_end(&mut stdout).await.map_err(failed)?;
        let stderr = call::first(holder.stderr.take(), MOST).await.map_err(failed)?;
        let code = holder.wait().await.map_err(failed)?.code();
        let words = Finished { code, stdout, stderr }.words();
        Err(host(format!("{} cannot be entered: {words}", into.name()), true))
    }

    /// Ends everything that works in the folder and removes it. When this returns, nothing of it is there.
    ///
    /// The distribution itself goes on, even where nothing else is known to use it: whoever has a terminal or a service
    /// in there would lose it.
    ///
    /// # Errors
    /// What is known of what may be left.
    pub(super) async fn end(self) -> Result<(), String> {
        let Self { into, id, lifeline, mut said, mut holder, .. } = self;
        drop(lifeline);
        let gone = async {
            while let Ok(Some(line)) = said.next_line().await {
                if line.trim_end() == "gone" {
                    let _ = holder.wait().await;
                    return true;
                }
            }
            false
        };
        if timeout(ENDING, gone).await.unwrap_or(false) {
            return Ok(());
        }
        // The way that the folder was held through is gone, and it may be held still.
        let script = Script::end(&id);
        let ended = timeout(ENDING, call::run(&into, &script, Input::Bytes(Vec::new()), MOST)).await;
        let reason = match ended {
            Ok(Ok(finished)) if finished.stdout.trim_ascii() == b"gone" => return Ok(()),
            Ok(Ok(finished)) => finished.words(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took longer than a minute".to_owned(),
        };
        Err(format!("the work of a build may go on in {}: {reason}", into.name()))
    }
}

pub(super) fn host(reason: impl Into<String>, retryable: bool) -> BuildError {
    BuildError::Host { reason: reason.into(), retryable }
}

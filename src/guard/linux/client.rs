//! The orchestrator's end of a guard.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, ChildStderr},
    task::JoinHandle,
    time::timeout,
};

use super::{
    command::{Command, Exit, GuardError},
    entry::GUARD_ROLE,
    protocol::{Cleanup, FRAME_HEAD, Mode, Report, Request, STDERR, STDOUT, Setup, Work},
};

/// How long a guard may take to begin, and to kill and clean up before it is killed itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much is kept of what a guard itself complains about.
const MOST_COMPLAINTS: usize = 4 << 10;

/// How to start a guard.
#[derive(Debug)]
pub struct Launch {
    /// The program to execute as a helper; see [`crate::helper::program`].
    pub helper: PathBuf,
    /// What executes the helper, with its arguments; empty for nothing.
    pub through: Vec<OsString>,
    /// Variables for the guard and everything it runs.
    pub env: Vec<(String, OsString)>,
    /// A locked file that stays locked until the guard has exited, however that comes.
    pub held: Option<File>,
    /// What the guard cleans up before it exits.
    pub cleanup: Cleanup,
    /// The name of a control group that every cell enters where it may, and that `cleanup` removes.
    pub group: Option<String>,
}

/// What a running command sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// It wrote to its standard output.
    Stdout(Vec<u8>),
    /// It wrote to its standard error.
    Stderr(Vec<u8>),
    /// It ended, and everything it had started is gone.
    Exited(Exit),
}

/// How a guard ended that was told to drop everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandoned {
    /// Everything is gone.
    Clean,
    /// It did not end by itself and was killed: something may be left for the next clean-up.
    Killed,
}

/// A running guard. Dropping it makes the guard kill everything, clean up and exit, without waiting for that.
#[derive(Debug)]
pub struct Guard {
    lifeline: UnixStream,
    received: Vec<u8>,
    child: Child,
    complaints: Option<JoinHandle<String>>,
    mode: Mode,
}

impl Guard {
    /// Starts a guard and waits until it is ready.
    ///
    /// When the future is dropped before that, the guard exits.
    pub async fn start(launch: Launch) -> Result<Self, GuardError> {
        let start = |error: io::Error| GuardError::Start(error.to_string());
        let (ours, theirs) = StdUnixStream::pair().map_err(start)?;
        ours.set_nonblocking(true).map_err(start)?;
        let (program, arguments) = match launch.through.split_first() {
            None => (launch.helper.clone().into_os_string(), Vec::new()),
            Some((program, rest)) => {
                let helper = launch.helper.as_os_str().to_owned();
                (program.clone(), rest.iter().cloned().chain([helper]).collect())
            }
        };
        let mut child = tokio::process::Command::new(&program)
            .args(arguments)
            .arg(GUARD_ROLE)
            .envs(launch.env)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(launch.held.map_or_else(Stdio::null, Stdio::from))
            .stderr(Stdio::piped())
            // A Ctrl-C in the terminal is for the orchestrator, which cancels.
            .process_group(0)
            .spawn()
            .map_err(|error| GuardError::Start(format!("{}: {error}", program.display())))?;
        let complaints = child.stderr.take().map(|stderr| tokio::spawn(last_words(stderr)));
        let lifeline = UnixStream::from_std(ours).map_err(start)?;
        let mut guard = Self { lifeline, received: Vec::new(), child, complaints, mode: Mode::Descendants };
        let begin = async {
            let setup = Setup { cleanup: launch.cleanup, group: launch.group };
            guard.request(&Request::Setup(setup)).await?;
            guard.report().await
        };
        match timeout(PATIENCE, begin).await {
            Ok(Ok(Report::Ready(mode))) => guard.mode = mode,
            Ok(Ok(other)) => return Err(GuardError::Start(format!("it said {other:?}"))),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(GuardError::Start("it does not answer".to_owned())),
        }
        Ok(guard)
    }

    /// How completely the guard holds what it runs.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Starts a command; its output and its end come from [`Guard::next`].
    pub async fn run(&mut self, command: &Command) -> Result<(), GuardError> {
        self.request(&Request::Run(command.clone())).await
    }

    /// Starts work in a cell; its output and its end come from [`Guard::next`].
    pub async fn work(&mut self, work: Work) -> Result<(), GuardError> {
        self.request(&Request::Work(work)).await
    }

    /// What the command sends next. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Message, GuardError> {
        match self.frame().await? {
            (STDOUT, content) => Ok(Message::Stdout(content)),
            (STDERR, content) => Ok(Message::Stderr(content)),
            (_, content) => match parse(&content)? {
                Report::Exited(exit) => Ok(Message::Exited(exit)),
                Report::Failed(reason) => Err(GuardError::Run(reason)),
                other => Err(GuardError::Lost(format!("it said {other:?}"))),
            },
        }
    }

    /// Runs a command to its end and collects what it writes, up to `most` bytes of each stream.
    pub async fn output(
        &mut self,
        command: &Command,
        most: usize,
    ) -> Result<(Exit, Vec<u8>, Vec<u8>), GuardError> {
        self.run(command).await?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let (kept, bytes) = match self.next().await? {
                Message::Stdout(bytes) => (&mut stdout, bytes),
                Message::Stderr(bytes) => (&mut stderr, bytes),
                Message::Exited(exit) => return Ok((exit, stdout, stderr)),
            };
            let room = most.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
        }
    }

    /// Cleans up now. Returns what could not be done.
    pub async fn clean(&mut self) -> Result<Vec<String>, GuardError> {
        self.request(&Request::Clean).await?;
        match self.report().await? {
            Report::Cleaned(problems) => Ok(problems),
            other => Err(GuardError::Lost(format!("it said {other:?}"))),
        }
    }

    /// Ends the guard: whatever runs is killed, the clean-up is done, and the process has exited when this
    /// returns.
    pub async fn end(self) -> Abandoned {
        let Self { lifeline, mut child, .. } = self;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        drop(lifeline);
        if timeout(PATIENCE, child.wait()).await.is_ok() {
            return Abandoned::Clean;
        }
        // Its cells die with it.
        if let Some(group) = group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = child.wait().await;
        Abandoned::Killed
    }

    async fn request(&mut self, request: &Request) -> Result<(), GuardError> {
        let mut line = serde_json::to_vec(request).map_err(|error| GuardError::Run(error.to_string()))?;
        line.push(b'\n');
        match self.lifeline.write_all(&line).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(&error.to_string()).await),
        }
    }

    async fn report(&mut self) -> Result<Report, GuardError> {
        let (_, content) = self.frame().await?;
        parse(&content)
    }

    /// The next frame. What has arrived of it stays when the future is dropped.
    async fn frame(&mut self) -> Result<(u8, Vec<u8>), GuardError> {
        loop {
            if let Some(frame) = take_frame(&mut self.received) {
                return Ok(frame);
            }
            match self.lifeline.read_buf(&mut self.received).await {
                Ok(0) => return Err(self.lost("it exited").await),
                Ok(_) => {}
                Err(error) => return Err(self.lost(&error.to_string()).await),
            }
        }
    }

    /// Explains why the guard is gone, with what it said last.
    async fn lost(&mut self, how: &str) -> GuardError {
        let complaints = match self.complaints.take() {
            Some(task) => timeout(Duration::from_secs(1), task).await.ok().and_then(Result::ok),
            None => None,
        };
        match complaints.as_deref().map(str::trim) {
            Some(said) if !said.is_empty() => GuardError::Lost(format!("{how}: {said}")),
            _ => GuardError::Lost(how.to_owned()),
        }
    }
}

fn parse(content: &[u8]) -> Result<Report, GuardError> {
    serde_json::from_slice(content).map_err(|error| GuardError::Lost(error.to_string()))
}

/// Takes a whole frame off the front of what has arrived.
fn take_frame(received: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let [kind, a, b, c, d] = *received.first_chunk::<FRAME_HEAD>()?;
    let end = FRAME_HEAD + u32::from_le_bytes([a, b, c, d]) as usize;
    if received.len() < end {
        return None;
    }
    let content = received[FRAME_HEAD..end].to_vec();
    received.drain(..end);
    Some((kind, content))
}

/// The last words of a guard, or of what was to start it.
async fn last_words(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    while stderr.read_buf(&mut kept).await.is_ok_and(|read| read > 0) {
        let excess = kept.len().saturating_sub(MOST_COMPLAINTS);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::linux::protocol::frame_head;

    #[test]
    fn frames_come_whole_and_in_order_however_they_arrive() {
        let mut sent = Vec::new();
        for (kind, content) in [(STDOUT, &b"one"[..]), (STDERR, b""), (STDOUT, b"two")] {
            sent.extend(frame_head(kind, content.len()));
            sent.extend(content);
        }
        let (mut received, mut frames) = (Vec::new(), Vec::new());
        for byte in sent {
            received.push(byte);
            frames.extend(take_frame(&mut received));
        }
        assert_eq!(frames, [(STDOUT, b"one".to_vec()), (STDERR, vec![]), (STDOUT, b"two".to_vec())]);
        assert!(received.is_empty());
    }
}

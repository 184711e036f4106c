//! One script on its way: started, fed and read.

use std::{io, process::Stdio};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin},
    sync::mpsc,
};

use super::{distribution::Entered, script::Script, text::decoded};

/// What a script is fed with.
#[derive(Debug)]
pub(super) enum Input {
    Bytes(Vec<u8>),
    Pieces(mpsc::Receiver<Bytes>),
}

/// How a script ended.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Where the programs are. Nothing else of this process's environment is passed on.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts a script. Its standard input takes what it works on, and all of its standard streams are pipes.
///
/// The shell that is started reads as many bytes as the script has, one by one because whatever reads more would take of
/// what follows, and has another shell run them in a session of its own.
pub(super) async fn start(into: &Entered<'_>, script: &Script) -> io::Result<(Child, ChildStdin)> {
    let length = script.as_bytes().len();
    let shell = format!("exec 3<&0; dd bs=1 count={length} 2>/dev/null | setsid sh");
    let home = format!("HOME={}", into.transport.home());
    let clean = ["env", "-i", PATH, &home, "LC_ALL=C.UTF-8", "sh", "-c", &shell];
    let own = ["env", &home, "sh", "-c", &shell];
    let arguments: &[&str] = if script.sees_environment { &own } else { &clean };
    let mut command = into.transport.command(into.distribution, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // One that is refused says why on its other streams.
    let _ = stdin.write_all(script.as_bytes()).await;
    Ok((child, stdin))
}

/// Runs a script to its end. Keeps the first `most` bytes of each of its outputs.
pub(super) async fn run(
    into: &Entered<'_>,
    script: &Script,
    input: Input,
    most: usize,
) -> io::Result<Finished> {
    let (mut child, stdin) = start(into, script).await?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ((), stdout, stderr) = tokio::join!(feed(stdin, input), first(stdout, most), first(stderr, most));
    let status = child.wait().await?;
    Ok(Finished { code: status.code(), stdout: stdout?, stderr: stderr? })
}

/// Gives a script all of its input, and then the end of it. One that wants no more says why elsewhere.
pub(super) async fn feed(mut stdin: ChildStdin, input: Input) {
    match input {
        Input::Bytes(bytes) => {
            let _ = stdin.write_all(&bytes).await;
        }
        Input::Pieces(mut pieces) => {
            while let Some(piece) = pieces.recv().await {
                if stdin.write_all(&piece).await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = stdin.shutdown().await;
}

/// The first bytes of a stream, all of which is read.
pub(super) async fn first(stream: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<Vec<u8>> {
    let Some(mut stream) = stream else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    let mut piece = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Ok(kept);
        }
        let room = most.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&piece[..room]);
    }
}

impl Finished {
    /// What went wrong, in the words of the script or of `wsl.exe`, which writes to either stream.
    pub(super) fn words(&self) -> String {
        let said = [decoded(&self.stderr), decoded(&self.stdout)].into_iter().find(|text| !text.is_empty());
        let ended = match self.code {
            Some(code) => format!("it ended with {code}"),
            None => "it was killed".to_owned(),
        };
        said.unwrap_or(ended)
    }

    /// What `wsl.exe` said when it ended before what it ran, behind whatever that had written.
    pub(super) fn last_words(&self) -> String {
        let of = |bytes: &[u8]| match bytes.iter().position(|byte| *byte == 0) {
            // Only its own words are in UTF-16.
            Some(at) => decoded(&bytes[at.saturating_sub(1)..]),
            None => decoded(bytes).lines().last().unwrap_or_default().to_owned(),
        };
        let said = [of(&self.stdout), of(&self.stderr)].into_iter().filter(|text| !text.is_empty());
        let ended =
            self.code.map_or("wsl.exe was killed".to_owned(), |code| format!("wsl.exe ended with {code}"));
        std::iter::once(ended).chain(said).collect::<Vec<_>>().join("; ")
    }
}

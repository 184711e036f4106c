//! A running `polyarch serve`, for one test.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use super::command::Desk;

/// How long a server may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port of this machine, which ends when dropped.
pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    child: Child,
}

impl Server {
    /// Starts one with the store of `desk`.
    pub(crate) fn start(desk: &Desk, further: &[&str]) -> Self {
        let errors = fs::File::create(desk.path("serve.log")).expect("a file");
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--grace", "1s"].iter().chain(further);
        let mut child =
            desk.command(arguments).stdout(Stdio::piped()).stderr(errors).spawn().expect("polyarch starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("readable");
        let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
        Self { url: url.unwrap_or_else(|| panic!("it said {line:?}")), child }
    }

    /// The memory that it has now, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

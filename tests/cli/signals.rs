//! Builds that are ended in the middle of a RUN leave nothing, and the store works afterwards.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{
    bases::busybox,
    buildah::{left_behind, run, workers},
    command::{BACKENDS, Desk, ready, runs_both},
};

const BOTH: &str = "linux/amd64,linux/arm64";

/// A build for two platforms whose steps sleep.
struct Sleeping {
    backend: &'static str,
    desk: Desk,
    process: Child,
    /// What the commands of its steps have in them and no other process has.
    mark: String,
}

impl Sleeping {
    fn begin(backend: &'static str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let base = (ready() && runs_both()).then(busybox).flatten()?;
        let mark = format!("4{}4{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let desk = Desk::new();
        let context = desk.context("app", format!("FROM {base}\nRUN sleep {mark} & sleep {mark}\n"));
        desk.context("quick", format!("FROM {base}\nRUN cat /bin/busybox > /copy\n"));
        let outputs = ["-o", "type=oci,dest=app.tar", "--iidfile", "id", "-t", "app:1", "--backend", backend];
        let process = desk.begin("log", ["build", "--platform", BOTH, &context].iter().chain(&outputs));
        let sleeping = Self { backend, desk, process, mark };
        let begun = Instant::now();
        while sleeping.steps() < 4 {
            assert!(begun.elapsed() < Duration::from_mins(1), "the steps did not begin");
            thread::sleep(Duration::from_millis(20));
        }
        Some(sleeping)
    }

    /// How many of the steps' processes there are.
    fn steps(&self) -> usize {
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let command = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let ours = |command: &Vec<u8>| {
            let command = String::from_utf8_lossy(command).replace('\0', " ");
            command.trim_end().ends_with(&format!("sleep {}", self.mark)) && !command.contains('&')
        };
        entries.map(command).filter(ours).count()
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("sent");
    }

    fn left(&self) -> Vec<String> {
        let mut left = left_behind(&self.desk.store(), Some(&self.mark));
        // A killed process leaves its folder there, with the lock on it and the list of the blobs that it used, for the
        // next command to remove.
        let files = ["-type", "f", "!", "-name", "lock", "!", "-name", "uses"];
        let find = Command::new("find").arg(self.desk.store().join("tmp")).args(files).output();
        let files = find.expect("find").stdout;
        left.extend(String::from_utf8_lossy(&files).lines().map(|file| format!("file {file}")));
        left
    }

    fn wait_for_the_clean_up(&self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(15) && !self.left().is_empty() {
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.left(), Vec::<String>::new());
    }

    /// Nothing is there that a build makes on its way, and buildah knows of no container.
    fn check(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
        for worker in workers(&self.desk.store()) {
            let mut buildah = Command::new("buildah");
            buildah.arg("--root").arg(worker.join("root")).arg("--runroot").arg(self.desk.path("run"));
            assert_eq!(run(buildah.args(["containers", "--quiet"])), "");
        }
        assert_eq!(self.desk.names(), [""; 0]);
        for output in ["app.tar", "id"] {
            assert!(!self.desk.path(output).exists(), "{output}");
        }
        let log = fs::read_to_string(self.desk.path("log")).expect("read");
        assert!(!log.contains("panicked"), "{log}");
        self.desk.ok(["build", "--backend", self.backend, "-t", "quick:1", "--platform", BOTH, "quick"]);
        assert_eq!(self.desk.names(), ["docker.io/library/quick:1"]);
        assert_eq!(self.desk.scratch(&self.desk.store()), Vec::<PathBuf>::new());
        assert_eq!(self.left(), Vec::<String>::new());
    }
}

/// A failed test leaves no build behind either.
impl Drop for Sleeping {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn a_clean_end(signal: Signal, code: i32) {
    for backend in BACKENDS {
        let Some(mut build) = Sleeping::begin(backend) else { return };
        let begun = Instant::now();
        build.send(signal);
        let status = build.process.wait().expect("ended");
        assert_eq!(status.code(), Some(code), "{backend}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{backend}");
        let log = fs::read_to_string(build.desk.path("log")).expect("read");
        assert!(log.ends_with("error: cancelled; nothing is left running\n"), "{log}");
        build.check();
    }
}

#[test]
fn ctrl_c_ends_a_build_cleanly() {
    a_clean_end(Signal::SIGINT, 130);
}

#[test]
fn a_request_to_terminate_ends_a_build_cleanly() {
    a_clean_end(Signal::SIGTERM, 143);
}

#[test]
fn a_killed_build_is_cleaned_up_behind_it() {
    for backend in BACKENDS {
        let Some(mut build) = Sleeping::begin(backend) else { return };
        build.send(Signal::SIGKILL);
        assert_eq!(build.process.wait().expect("ended").code(), None);
        build.wait_for_the_clean_up();
        build.check();
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_is_cleaned_up_behind() {
    for backend in BACKENDS {
        let Some(mut build) = Sleeping::begin(backend) else { return };
        let begun = Instant::now();
        build.send(Signal::SIGINT);
        // Two signals of one kind that arrive together are one.
        thread::sleep(Duration::from_millis(30));
        build.send(Signal::SIGINT);
        let status = build.process.wait().expect("ended");
        assert_eq!(status.code(), Some(130), "{backend}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{backend}: {:?}", begun.elapsed());
        build.wait_for_the_clean_up();
        build.check();
    }
}

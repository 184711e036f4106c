//! What commands and names print, and who reads it.

use std::{
    fs, io,
    path::PathBuf,
    process::{Child, ChildStderr, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Yard;
use crate::support::{
    buildah::left_behind,
    command::{Desk, is_root},
    images::{HARD_LINK, Layer, Tar, image},
    peaks::watch,
};

/// The most that the orchestrator and its helpers may have at once, each, in KiB: its log of events is 16 MiB.
const MOST: u64 = 80 << 10;

/// A build whose only step never ends and never stops to print.
struct Endless {
    desk: Desk,
    process: Child,
    mark: String,
}

impl Endless {
    fn begin(progress: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mark = format!("yes-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let desk = Desk::new();
        let run = format!("RUN [\"/busybox\", \"yes\", \"{mark}\"]\n");
        let context = desk.context("app", format!("FROM scratch\nCOPY busybox /\n{run}"));
        fs::copy("/bin/busybox", desk.path("app/busybox")).expect("busybox");
        let mut command =
            desk.command(["build", "-t", "app:1", "--backend", "sandbox", "--progress", progress, &context]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("polyarch starts");
        Self { desk, process, mark }
    }

    fn prints(&self) -> bool {
        let mut commands = fs::read_dir("/proc").expect("/proc").flatten();
        commands.any(|process| {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            command.windows(self.mark.len()).any(|text| text == self.mark.as_bytes())
        })
    }

    /// Interrupts the build when its step has printed for a while, and checks how it ends.
    fn interrupt(mut self, read: impl FnOnce(ChildStderr) + Send + 'static) {
        let stderr = self.process.stderr.take().expect("a pipe");
        thread::spawn(move || read(stderr));
        let begun = Instant::now();
        while !self.prints() {
            assert!(begun.elapsed() < Duration::from_mins(1), "the step did not begin");
            thread::sleep(Duration::from_millis(20));
        }
        let pid = Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"));
        let interrupting = thread::spawn(move || {
            thread::sleep(Duration::from_secs(6));
            kill(pid, Signal::SIGINT).expect("sent");
            Instant::now()
        });
        let (status, peaks) = watch(self.process);
        let took = interrupting.join().expect("interrupted").elapsed();
        assert_eq!(status.code(), Some(130));
        assert!(took < Duration::from_secs(8), "{took:?}");
        assert!(peaks.values().all(|peak| *peak < MOST), "{peaks:?}");
        assert_eq!(left_behind(&self.desk.store(), Some(&self.mark)), Vec::<String>::new());
        assert_eq!(self.desk.scratch(&self.desk.store()), Vec::<PathBuf>::new());
        assert_eq!(self.desk.names(), [""; 0]);
    }
}

#[test]
fn a_command_that_never_stops_to_print_takes_no_memory_and_ends_with_ctrl_c() {
    if !is_root() {
        return;
    }
    for progress in ["plain", "rawjson", "quiet"] {
        Endless::begin(progress).interrupt(|mut stderr| {
            let _ = io::copy(&mut stderr, &mut io::sink());
        });
    }
}

#[test]
fn a_reader_that_stopped_to_read_takes_no_memory_and_holds_up_no_ctrl_c() {
    if !is_root() {
        return;
    }
    for progress in ["plain", "rawjson"] {
        Endless::begin(progress).interrupt(|stderr| {
            thread::sleep(Duration::from_mins(1));
            drop(stderr);
        });
    }
}

#[test]
fn no_name_from_an_image_or_a_context_moves_the_cursor() {
    let name = "\u{1b}]0;title\u{7}\u{9b}2J\rgone\nerror: another";
    let yard = Yard::new();
    let evil = image(&yard.store, &[Layer::of(&Tar::new().member(HARD_LINK, name, "nothing", b"").end())]);
    let index = yard.store.root().join("index.json");
    fs::write(index, "{\"schemaVersion\":2,\"manifests\":[]}").expect("written");
    let layout = format!("evil=oci-layout://{}@{}", yard.store.root().display(), evil.digest);
    let word = name.replace(['\n', '\r', ' '], "_");
    for (dockerfile, words) in [
        ("FROM scratch\nCOPY --from=evil / /all/\n".to_owned(), "]0;title"),
        (format!("FROM scratch\nCOPY [\"{}\", \"/\"]\n", word.escape_default()), "not found"),
        (format!("FROM scratch\nCOPY {word} /\n"), "not found"),
        (format!("FROM scratch\nENV a={word}\nCOPY ${{a}} /\n"), "not found"),
        (format!("FROM {word}\n"), "title"),
        (format!("{word}\n"), "title"),
    ] {
        // JSON knows another way to write what Rust's texts escape.
        let dockerfile = dockerfile
            .replace("\\u{1b}", "\\u001b")
            .replace("\\u{7}", "\\u0007")
            .replace("\\u{9b}", "\\u009b");
        for progress in ["plain", "tty", "rawjson", "quiet"] {
            let desk = Desk::new();
            let context = desk.context("app", &dockerfile);
            let ended = desk.run([
                "build",
                "--backend",
                "sandbox",
                "--progress",
                progress,
                "--build-context",
                &layout,
                &context,
            ]);
            assert_ne!(ended.code, Some(0), "{dockerfile:?}");
            ended.fails(ended.code.unwrap_or_default(), &[words]);
            let raw = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
            let lines = ended.stderr.lines().filter(|line| !line.starts_with('{'));
            assert!(!lines.collect::<String>().contains(raw), "{progress}: {:?}", ended.stderr);
            let events = ended.stderr.lines().filter(|line| line.starts_with('{'));
            for event in events {
                assert!(!event.contains(|letter: char| letter.is_ascii_control()), "{event:?}");
                serde_json::from_str::<serde_json::Value>(event).expect("json");
            }
        }
    }
}

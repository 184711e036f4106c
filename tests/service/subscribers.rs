//! Readers of events that stall, go, come back and come late, while a real server runs a real build.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::scene::client;
use crate::support::{
    buildah::run,
    command::{Desk, ready},
    service::Server,
    tools::require,
};

/// How many lines the build prints, in rounds of so many.
const LINES: usize = 40_000;
const ROUND: usize = 400;
/// What each line has behind its number.
const TAIL: &str = "and the rest of a line that a compiler may have printed about some file or other";
/// How many readers stop reading.
const STALLED: usize = 20;
/// How much more memory the server may need while all of them read, in KiB. The log of the build takes more than 5 MiB, so that one that
/// is kept for each reader that stalls would be many times more than this.
const MOST_MEMORY: u64 = 24 << 10;

/// The events of one build, as one reader gets them.
struct Reader {
    client: Client,
    address: String,
    /// What has come and is not a whole frame yet.
    rest: Vec<u8>,
    /// The number of the next event.
    next: u64,
    /// What steps printed.
    printed: String,
    ended: bool,
}

impl Reader {
    fn new(client: &Client, address: &str) -> Self {
        let (client, address) = (client.clone(), address.to_owned());
        Self { client, address, rest: Vec::new(), next: 0, printed: String::new(), ended: false }
    }

    /// Reads from where it stands to the end of the build, or until so many pieces have come, and goes.
    async fn read(&mut self, pieces: usize) {
        let mut request = self.client.get(&self.address);
        if let Some(last) = self.next.checked_sub(1) {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let mut response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        self.take(&mut response, pieces).await;
        self.rest.clear();
    }

    async fn take(&mut self, response: &mut reqwest::Response, pieces: usize) {
        for _ in 0..pieces {
            let Some(piece) = response.chunk().await.expect("a piece") else { return };
            self.rest.extend_from_slice(&piece);
            let Some(end) = self.rest.windows(2).rposition(|two| two == b"\n\n") else { continue };
            let rest = self.rest.split_off(end + 2);
            let whole = std::mem::replace(&mut self.rest, rest);
            let whole = String::from_utf8(whole).expect("text");
            whole.split_terminator("\n\n").for_each(|frame| self.frame(frame));
        }
    }

    fn frame(&mut self, frame: &str) {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        let Some(id) = field("id: ") else { return };
        assert_eq!(id, self.next.to_string(), "an event is lost or repeated");
        self.next += 1;
        let event: Value = serde_json::from_str(field("data: ").expect("data")).expect("json");
        assert_eq!(event["sequence"], self.next - 1);
        match event["event"].as_str() {
            Some("step-output") => self.printed.push_str(event["data"].as_str().expect("text")),
            Some("finished") => self.ended = true,
            _ => {}
        }
    }
}

fn wanted() -> String {
    (0..LINES).fold(String::new(), |mut text, number| {
        writeln!(text, "{number} {TAIL}").expect("written");
        text
    })
}

/// An archive with a static busybox and a Dockerfile that prints in rounds.
fn archive(desk: &Desk) -> Vec<u8> {
    let folder = desk.path("context");
    fs::create_dir(&folder).expect("made");
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.expect("busybox"), folder.join("busybox")).expect("copied");
    let rounds = LINES / ROUND;
    let script = format!(
        "cd /; r=0; while [ $r -lt {rounds} ]; do ./busybox seq $((r*{ROUND})) $((r*{ROUND}+{ROUND}-1)) | ./busybox sed \"s/$/ {TAIL}/\"; \
         r=$((r+1)); ./busybox usleep 30000; done"
    );
    let run = json!(["/busybox", "sh", "-c", script]);
    fs::write(folder.join("Dockerfile"), format!("FROM scratch\nCOPY busybox /\nRUN {run}\n"))
        .expect("written");
    let file = desk.path("context.tar");
    run_tar(&file, &folder);
    fs::read(file).expect("an archive")
}

fn run_tar(file: &Path, folder: &Path) {
    run(Command::new("tar").arg("-cf").arg(file).arg("-C").arg(folder).arg("."));
}

async fn submit(client: &Client, url: &str, context: &str, label: &str) -> String {
    let document = json!({
        "context": {"upload": context}, "no_cache": true, "labels": BTreeMap::from([("is", label)]),
    });
    let request = client.post(format!("{url}/v1/builds")).header("Content-Type", "application/json");
    let answer = request.body(document.to_string()).send().await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.bytes().await.expect("read")).expect("json");
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    format!("{url}/v1/builds/{id}/events")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stalls_goes_or_comes_late_gets_each_event_once_and_costs_no_memory() {
    if !ready() || !["busybox", "tar"].into_iter().all(require) {
        return;
    }
    let desk = Desk::new();
    let server = Server::start(&desk, &[]);
    let client = client(&[]);
    let sent = client.post(format!("{}/v1/contexts", server.url)).body(archive(&desk));
    let sent = sent.header("Content-Type", "application/x-tar").send().await.expect("an answer");
    let sent: Value = serde_json::from_slice(&sent.bytes().await.expect("read")).expect("json");
    let context = sent["context"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();

    // What a build with one reader takes.
    let address = submit(&client, &server.url, &context, "first").await;
    let mut reader = Reader::new(&client, &address);
    reader.read(usize::MAX).await;
    assert!(reader.ended && reader.printed == wanted(), "{} bytes", reader.printed.len());
    let before = server.memory();

    let address = submit(&client, &server.url, &context, "second").await;
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for number in 0..50 {
        let mut reader = Reader::new(&client, &address);
        let over = Arc::clone(&over);
        readers.spawn(async move {
            match number {
                // They stop reading, until everything has happened.
                0..STALLED => {
                    let mut response = reader.client.get(&reader.address).send().await.expect("an answer");
                    reader.take(&mut response, 2).await;
                    while !over.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    reader.take(&mut response, usize::MAX).await;
                }
                // They go in the middle of a frame, and come back.
                20..32 => {
                    while !reader.ended {
                        reader.read(number).await;
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                // They come late, some when everything has happened.
                32..44 => {
                    tokio::time::sleep(Duration::from_millis(500 * (number as u64 - 32))).await;
                    reader.read(usize::MAX).await;
                }
                _ => {
                    reader.read(usize::MAX).await;
                    over.store(true, Ordering::Relaxed);
                }
            }
            assert!(reader.ended, "reader {number} has no end");
            (number, reader.next, reader.printed)
        });
    }
    let mut most = before;
    while !over.load(Ordering::Relaxed) {
        most = most.max(server.memory());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stalled = server.memory();
    let (wanted, mut counts) = (wanted(), Vec::new());
    while let Some(read) = readers.join_next().await {
        let (number, count, printed) = read.expect("no reader fails");
        assert!(printed == wanted, "reader {number} got {} bytes of {}", printed.len(), wanted.len());
        counts.push(count);
    }
    assert_eq!(counts.len(), 50);
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    let after = server.memory();
    let numbers = format!(
        "{} events; KiB before {before}, at most {most}, stalled {stalled}, after {after}",
        counts[0]
    );
    assert!(most.max(after) < before + MOST_MEMORY, "{numbers}");
}

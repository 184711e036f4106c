//! Logs on real files.

mod bounded;
mod crashed;
mod following;
mod many;
mod plain;

use std::{path::PathBuf, sync::Arc};

use futures::StreamExt as _;
use polyarch_actors::{BuildEvent, BuildId, EventKind, LogBytes, ProtocolVersion, Timestamp};

use super::{Follow, LARGEST_LOG, LogLine, LogReader, Logs};

/// Logs in a folder that goes when the test ends.
struct Bench {
    logs: Logs,
    id: BuildId,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with_limit(LARGEST_LOG)
    }

    fn with_limit(limit: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { logs: Logs::new(folder.path(), limit), id: BuildId::generate(), folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.jsonl", self.id))
    }

    fn reader(&self, after: Option<u64>, follow: Follow) -> LogReader {
        self.logs.reader(&self.id, after, follow).expect("a reader")
    }

    /// All that is in the log now.
    async fn events(&self) -> Vec<BuildEvent> {
        let lines: Vec<_> = self.reader(None, Follow::No).into_stream().collect().await;
        lines.into_iter().map(|line| event_in(&line.expect("a line"))).collect()
    }
}

fn event(kind: EventKind) -> Arc<BuildEvent> {
    Arc::new(BuildEvent {
        version: ProtocolVersion,
        build: BuildId::generate(),
        platform: None,
        // The log has its own numbers.
        sequence: 7_000,
        time: Timestamp(1),
        kind,
    })
}

fn output(text: &str) -> Arc<BuildEvent> {
    event(EventKind::StepOutput { step: 1, data: LogBytes(text.as_bytes().to_vec()) })
}

fn end() -> Arc<BuildEvent> {
    event(EventKind::Finished { error: None })
}

fn event_in(line: &LogLine) -> BuildEvent {
    let event: BuildEvent = serde_json::from_slice(&line.json).expect("an event");
    assert_eq!(event.sequence, line.sequence);
    event
}

fn text_in(line: &LogLine) -> Option<String> {
    match event_in(line).kind {
        EventKind::StepOutput { data, .. } => Some(data.to_text().into_owned()),
        _ => None,
    }
}

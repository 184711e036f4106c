//! What became of the builds, by their records and logs, as another process reads them.

use std::path::Path;

use polyarch::{
    actors::{BuildEvent, EventKind},
    queue::{
        BuildState, DataFolder,
        log::{Follow, Logs},
        records::{BuildRecord, List, RecordsReader},
    },
};

/// What is read of a server's folder.
pub(super) struct Ledger {
    pub(super) records: RecordsReader,
    logs: Logs,
}

impl Ledger {
    pub(super) async fn open(data: &Path) -> Self {
        let folder = DataFolder::open(data).expect("a folder");
        let records = RecordsReader::open(folder.records()).await.expect("records");
        Self { records, logs: Logs::of_another_process(folder.logs()) }
    }

    /// How many builds have not ended.
    pub(super) async fn unfinished(&self) -> usize {
        self.records.unfinished().await.expect("records").len()
    }

    /// How many builds run.
    pub(super) async fn running(&self) -> usize {
        let unfinished = self.records.unfinished().await.expect("records");
        unfinished.iter().filter(|record| record.state == BuildState::Running).count()
    }

    /// Every record.
    pub(super) async fn all(&self) -> Vec<BuildRecord> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page =
                self.records.list(List { before, most: 500, ..List::default() }).await.expect("records");
            all.extend(page.records);
            match page.next {
                Some(next) => before = Some(next),
                None => return all,
            }
        }
    }

    /// Sees that the log of a build that has ended is whole, and has the end that its record has.
    pub(super) async fn check_log(&self, record: &BuildRecord) {
        let mut reader = self.logs.reader(&record.id, None, Follow::No).expect("a log");
        let mut events = Vec::new();
        while let Some(line) = reader.next().await {
            let event: BuildEvent = serde_json::from_slice(&line.expect("a line").json).expect("an event");
            assert_eq!(event.sequence, events.len() as u64, "{}", record.id);
            events.push(event);
        }
        let ends: Vec<_> =
            events.iter().filter(|event| matches!(event.kind, EventKind::Finished { .. })).collect();
        assert_eq!(ends.len(), 1, "{} ends once in its log: {ends:?}", record.id);
        let last = events.last().expect("an end");
        let EventKind::Finished { error } = &last.kind else { panic!("{} goes on after its end", record.id) };
        assert_eq!(error.is_none(), record.state == BuildState::Succeeded, "{record:?}: {error:?}");
    }
}

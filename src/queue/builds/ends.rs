//! The ends of builds, as their records, their logs and those who wait are told of them.

use polyarch_actors::{BuildError, BuildId, EventKind, Fault};
use tokio::sync::watch;

use super::attempt::{Said, error_of, note};
use crate::queue::{
    BuildState, Counts,
    log::Logs,
    records::{End, Records},
};

/// Tells of ends, and remembers what could not be written down.
pub(super) struct Ends {
    records: Records,
    logs: Logs,
    counts: Counts,
    /// Builds that have ended, and whose records could not be told.
    unended: Vec<(BuildId, End)>,
    /// What logs are to say that could not be written: that their builds have ended.
    unsaid: Vec<(BuildId, EventKind)>,
    /// Builds whose logs say that they have ended, and whose records do not know that yet.
    told: Vec<BuildId>,
    ended: watch::Sender<u64>,
}

impl Ends {
    pub(super) fn new(records: Records, logs: Logs, counts: Counts, ended: watch::Sender<u64>) -> Self {
        Self { records, logs, counts, unended: Vec::new(), unsaid: Vec::new(), told: Vec::new(), ended }
    }

    /// Takes note of the end of an attempt, which told of it itself.
    pub(super) fn said(&mut self, id: BuildId, said: Said) {
        match said {
            Said::End => self.told.push(id),
            Said::NotYet(kind) => self.unsaid.push((id, *kind)),
            Said::Enough => {}
        }
        self.wake();
    }

    /// Tells of the early end of a build whose record says so already. One that runs writes its log itself.
    pub(super) async fn noted(&mut self, id: &BuildId, state: BuildState, runs: bool) {
        self.counts.ended(state, Some(Fault::Cancelled), None);
        if !runs {
            self.tell_end(id, Some(BuildError::Cancelled)).await;
        }
        self.wake();
    }

    /// Ends a build that does not run.
    pub(super) async fn end(&mut self, id: &BuildId, end: End) {
        let (state, error) = (end.state(), error_of(&end));
        match self.records.end(id, end.clone(), Vec::new()).await {
            Ok(true) => {
                self.counts.ended(state, error.as_ref().map(BuildError::fault), None);
                self.tell_end(id, error).await;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(build = %id, %error, "the end of a build was not recorded");
                self.unended.push((id.clone(), end));
            }
        }
        self.wake();
    }

    /// Tries again what could not be written down.
    pub(super) async fn try_again(&mut self) {
        for (id, end) in std::mem::take(&mut self.unended) {
            self.end(&id, end).await;
        }
        for (id, end) in std::mem::take(&mut self.unsaid) {
            self.say(id, end).await;
        }
    }

    /// Writes down of which builds nothing is left to be told. Those of which it is not known are told again when the queue is
    /// opened the next time, which changes nothing.
    pub(super) async fn remember_told(&mut self) {
        if self.told.is_empty() {
            return;
        }
        if let Err(error) = self.records.told(self.told.clone()).await {
            tracing::warn!(%error, "it was not written down which logs are whole");
            return;
        }
        self.told.clear();
    }

    async fn tell_end(&mut self, id: &BuildId, error: Option<BuildError>) {
        self.say(id.clone(), EventKind::Finished { error }).await;
    }

    /// Writes the end of a build into its log, now or later.
    async fn say(&mut self, id: BuildId, end: EventKind) {
        if note(&self.logs, &id, end.clone()).await {
            self.told.push(id);
        } else {
            self.unsaid.push((id, end));
        }
    }

    /// Tells whoever waits for an end to look.
    fn wake(&self) {
        self.ended.send_modify(|ended| *ended += 1);
    }
}

//! What all steps of a build may take together.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{BackendReport, BuildRequest, StepNeed};

/// What all RUN steps of a build may take together, on all of its platforms. It decides no result.
///
/// What a single step may take is said by [`StepOptions`](crate::StepOptions), and both count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildResources {
    /// The most memory, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// The most CPU time, in thousandths of one CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub millicpus: Option<u64>,
    /// The most processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Whether no backend may build that cannot hold the build to all of this. Without it, one that cannot builds all the
    /// same, and a warning says what is not held.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

impl BuildResources {
    /// Whether nothing is limited.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What a backend gives that holds a build to this, and what it gives that holds at least each step to it.
    pub fn needs(&self) -> BTreeSet<(StepNeed, StepNeed)> {
        let asked = [
            (self.memory, StepNeed::SharedMemory, StepNeed::MemoryLimit),
            (self.millicpus, StepNeed::SharedCpu, StepNeed::CpuLimit),
            (self.pids, StepNeed::SharedProcesses, StepNeed::ProcessLimit),
        ];
        asked.into_iter().filter_map(|(limit, shared, each)| limit.map(|_| (shared, each))).collect()
    }
}

/// What a backend does not hold a build to that its steps may take together, one sentence each.
pub(crate) fn unheld(report: &BackendReport, request: &BuildRequest) -> Vec<String> {
    let gives = &report.capabilities.gives;
    let needs = if request.runs_on.is_empty() { BTreeSet::new() } else { request.resources.needs() };
    let missing = needs.into_iter().filter(|(shared, _)| !gives.contains(shared));
    let sentence = |(shared, each): (StepNeed, StepNeed)| {
        let instead =
            if gives.contains(&each) { "each is held to it alone" } else { "nothing holds them to it" };
        format!("backend {} cannot give {shared}: {instead} (\"polyarch backends\" has advice)", report.id)
    };
    missing.map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Availability, BackendId, BuildId, Capabilities, ContextSource, DockerfileSource};

    fn told(gives: &[StepNeed], runs_on: &[&str]) -> Vec<String> {
        let mut capabilities = Capabilities::unusable("", "");
        capabilities.availability = Availability::Usable("x".into());
        capabilities.gives = gives.iter().copied().collect();
        let platform = "linux/amd64".parse().expect("a platform");
        let file = DockerfileSource::new("Dockerfile", "");
        let context = ContextSource::Directory("/c".into());
        let mut request = BuildRequest::new(BuildId::generate(), platform, file, context);
        request.runs_on = runs_on.iter().filter_map(|one| one.parse().ok()).collect();
        request.resources = BuildResources { memory: Some(1), pids: Some(1), ..BuildResources::default() };
        unheld(&BackendReport { id: BackendId::new("x"), capabilities }, &request)
    }

    #[test]
    fn what_is_not_held_is_told_with_what_is_held_instead_and_nothing_else_is() {
        let here = ["linux/amd64"];
        assert!(told(&[StepNeed::SharedMemory, StepNeed::SharedProcesses], &here).is_empty());
        let each = told(&[StepNeed::MemoryLimit, StepNeed::SharedProcesses], &here);
        assert!(each.len() == 1 && each[0].contains("of memory: each is held to it alone"), "{each:?}");
        let none = told(&[StepNeed::SharedMemory], &here);
        assert!(none.len() == 1 && none[0].contains("of processes: nothing holds them"), "{none:?}");
        assert!(told(&[], &[]).is_empty(), "where no step runs, none is held");
    }
}

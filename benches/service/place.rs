//! A queue of builds in a folder of its own, whose only backend does what it is told.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use polyarch::{
    BuildSpec, Orchestrator,
    queue::{BuildQueue, QueueOptions, records::NewBuild},
};
use polyarch_actors::{
    BuildId, Platform,
    queue::Tenant,
    testing::{Act, ScriptedBackend},
};

/// A queue that runs one build at a time, the first of which never ends by itself.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) queue: BuildQueue,
    pub(crate) first: BuildId,
}

impl Place {
    /// The builds after the first do what `acts` say.
    pub(crate) async fn open(acts: impl IntoIterator<Item = Act>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("Dockerfile"), "FROM busybox\nRUN make\n").expect("a Dockerfile");
        let acts = [Act::Hang(Duration::ZERO)].into_iter().chain(acts);
        let backend = ScriptedBackend::new("scripted", 1).on(&Platform::host_linux(), acts);
        let builder =
            Orchestrator::builder().store(folder.path().join("store")).backend(Arc::new(backend.clone()));
        let orchestrator = builder.start().await.expect("it starts");
        let options = QueueOptions {
            max_running: 1,
            max_waiting_each: usize::MAX,
            min_free: 0,
            ..QueueOptions::default()
        };
        let queue = orchestrator.queue(folder.path().join("data"), options).await.expect("the queue opens");
        let first = queue.submit(build(folder.path().into(), 0)).await.expect("taken").id;
        while backend.running() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { folder, queue, first }
    }

    /// A build that no other is the same as.
    pub(crate) fn build(&self, number: usize) -> NewBuild {
        build(self.folder.path().into(), number)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends the first build.
    pub(crate) async fn let_go(&self) {
        self.queue.cancel(&Tenant::default(), &self.first).await.expect("it runs");
    }
}

fn build(context: PathBuf, number: usize) -> NewBuild {
    let mut spec = BuildSpec::new(context).platforms([Platform::host_linux()]);
    spec.labels.insert("number".into(), number.to_string());
    NewBuild::new(spec)
}

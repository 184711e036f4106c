//! A store with an index, and a real registry behind a proxy that fails where a test wants it to.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use polyarch::{
    oci::{Reference, Store},
    registry::{
        ClientOptions, Publication, PublishReport, RegistryClient, RegistryError, RetryLimits, Timeouts,
        TransferCx, TransferEvent, publish,
    },
};
use polyarch_actors::Digest;
use tokio_util::sync::CancellationToken;

use super::{
    registry::{TestRegistry, sample_index},
    registry_proxy::{Fault, Proxy},
};

/// The length of each of the index's layers in bytes.
pub(crate) const LAYER: usize = 400_000;

/// A store with an index, a registry behind a proxy, and a client.
pub(crate) struct Scene {
    pub(crate) proxy: Proxy,
    pub(crate) registry: TestRegistry,
    pub(crate) store: Store,
    pub(crate) root: Digest,
    pub(crate) client: RegistryClient,
    pub(crate) events: Arc<Mutex<Vec<TransferEvent>>>,
    pub(crate) cancel: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn set() -> Self {
        let registry = TestRegistry::open();
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let root = sample_index(&store, &["amd64", "arm64"], "faults", LAYER);
        Self {
            proxy: Proxy::before(&registry.address),
            registry,
            store,
            root,
            client: client(Duration::from_secs(20)),
            events: Arc::default(),
            cancel: CancellationToken::new(),
            _folder: folder,
        }
    }

    pub(crate) fn name(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.proxy.address).parse().expect("a name")
    }

    pub(crate) fn cx(&self) -> TransferCx {
        let events = self.events.clone();
        let limits = RetryLimits { backoff: Duration::from_millis(10), ..RetryLimits::default() };
        let on_event = move |event| events.lock().expect("events").push(event);
        TransferCx::new(self.cancel.clone(), limits, on_event)
    }

    pub(crate) async fn publish(&self, targets: &[&str]) -> PublishReport {
        let targets = targets.iter().map(|rest| self.name(rest)).collect();
        self.publish_to(targets).await
    }

    pub(crate) async fn publish_to(&self, targets: Vec<Reference>) -> PublishReport {
        let publication = Publication { root: self.root.clone(), targets, sources: Vec::new() };
        publish(&self.client, &self.store, &publication, &self.cx()).await.expect("a report")
    }

    pub(crate) fn retries(&self) -> Vec<(String, Duration)> {
        let events = self.events.lock().expect("events");
        let retry = |event: &TransferEvent| match event {
            TransferEvent::Retried { reason, wait, .. } => Some((reason.clone(), *wait)),
            _ => None,
        };
        events.iter().filter_map(retry).collect()
    }

    /// The last progress that was reported. None may have been impossible.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let events = self.events.lock().expect("events");
        let progress = |event: &TransferEvent| match event {
            TransferEvent::Advanced { done, total } => Some((*done, *total)),
            _ => None,
        };
        let all: Vec<(u64, u64)> = events.iter().filter_map(progress).collect();
        assert!(all.iter().all(|(done, total)| done <= total), "{all:?}");
        *all.last().expect("progress")
    }

    /// What the registry itself says about a name, past the proxy.
    pub(crate) async fn kept(&self, rest: &str) -> Option<Digest> {
        let name: Reference = format!("{}/{rest}", self.registry.address).parse().expect("a name");
        let client = RegistryClient::new(ClientOptions::default());
        client.resolve(&name, &TransferCx::unwatched()).await.ok().map(|found| found.digest)
    }
}

pub(crate) fn client(idle: Duration) -> RegistryClient {
    let timeouts = Timeouts { idle, commit: 4 * idle, ..Timeouts::default() };
    RegistryClient::new(ClientOptions { timeouts, ..ClientOptions::default() })
}

pub(crate) fn answer(status: u16) -> Fault {
    Fault::Answer(status, Vec::new(), String::new())
}

pub(crate) fn failure(report: &PublishReport, target: usize) -> &RegistryError {
    report.targets[target].result.as_ref().expect_err("failed")
}

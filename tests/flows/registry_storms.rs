//! Many pushes through a network that loses, breaks and garbles: what any tag means after each of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use polyarch::{
    oci::{Reference, Store},
    registry::{
        ClientOptions, Publication, PublishReport, RegistryClient, RetryLimits, TagState, Timeouts,
        TransferCx, publish,
    },
};
use polyarch_actors::Digest;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{
    registry::{OCI_INDEX, OCI_MANIFEST, TestRegistry, digest_in, image, layer_of, put},
    registry_proxy::Proxy,
    registry_walk::Walk,
    tools::require,
    weather::{Weather, seed},
};

/// How many push at the same time.
const LANES: usize = 4;

/// What all lanes share.
struct Storm {
    proxy: Proxy,
    registry: TestRegistry,
    store: Store,
    walk: Mutex<Walk>,
    limits: RetryLimits,
    /// Whether the limits are enough for whatever the network does.
    is_bearable: bool,
    _folder: tempfile::TempDir,
}

/// How the pushes of one lane ended.
#[derive(Debug, Default)]
struct Counts {
    complete: usize,
    moved: usize,
    as_before: usize,
    unknown: usize,
}

impl Storm {
    fn new(weather: Weather, limits: RetryLimits) -> Arc<Self> {
        let registry = TestRegistry::open();
        let proxy = Proxy::before(&registry.address);
        proxy.choose(weather.chooser());
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let walk = Mutex::new(Walk::through(&registry.address));
        let is_bearable = weather.in_a_row.is_some();
        Arc::new(Self { proxy, registry, store, walk, limits, is_bearable, _folder: folder })
    }

    /// An index of its own for each `number`, which shares layers with others.
    fn index(&self, number: usize) -> Digest {
        let platforms = ["amd64", "arm64", "riscv64"].into_iter().take(2 + number % 2);
        let shared = layer_of(&self.store, &format!("shared {}", number % 7), 30_000);
        let images = platforms.map(|architecture| {
            let own = layer_of(&self.store, &format!("{number} {architecture}"), 500 + 300 * (number % 50));
            let layers = [shared.clone(), own];
            let mut image = put(&self.store, OCI_MANIFEST, &image(&self.store, architecture, &layers));
            image["platform"] = json!({"os": "linux", "architecture": architecture});
            image
        });
        let images: Vec<Value> = images.collect();
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": images});
        digest_in(&put(&self.store, OCI_INDEX, &index))
    }

    /// The repositories and tags of a push: tags move often, and no two lanes have one in common.
    fn targets(lane: usize, number: usize) -> Vec<String> {
        let app = format!("team/app{}", number % 3);
        let mut targets = vec![format!("{app}:lane{lane}-{}", number % 4)];
        if number.is_multiple_of(2) {
            targets.push(format!("{app}:lane{lane}"));
        }
        if number.is_multiple_of(5) {
            targets.push(format!("mirror{}:lane{lane}", number % 2));
        }
        targets
    }

    async fn push(&self, client: &RegistryClient, root: &Digest, targets: &[String]) -> PublishReport {
        let name =
            |rest: &str| format!("{}/{rest}", self.proxy.address).parse::<Reference>().expect("a name");
        let publication = Publication {
            root: root.clone(),
            targets: targets.iter().map(|target| name(target)).collect(),
            sources: vec![name("team/app0"), name("none")],
        };
        let cx = TransferCx::new(CancellationToken::new(), self.limits.clone(), |_| {});
        publish(client, &self.store, &publication, &cx).await.expect("a report")
    }

    async fn lane(self: Arc<Self>, lane: usize, pushes: usize) -> Counts {
        let mut counts = Counts::default();
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        let mut client = client();
        for number in (lane..pushes).step_by(LANES) {
            if number % 8 < LANES {
                client = self::client();
            }
            let (root, targets) = (self.index(number), Self::targets(lane, number));
            let report = self.push(&client, &root, &targets).await;
            let found = tokio::task::block_in_place(|| self.walk.lock().expect("the walk").all());
            for (target, published) in targets.iter().zip(&report.targets) {
                let (before, after) = (known.get(target), found.get(target));
                let (is_moved, is_as_before) = (after == Some(&root.to_string()), after == before);
                match published.state() {
                    TagState::Moved => {
                        counts.moved += 1;
                        assert!(is_moved && published.result.is_ok(), "{target}: {after:?}: {report:?}");
                    }
                    TagState::AsBefore => {
                        counts.as_before += 1;
                        assert!(is_as_before, "{target}: {after:?}, not {before:?}: {report:?}");
                    }
                    TagState::Unknown => {
                        counts.unknown += 1;
                        assert!(is_moved || is_as_before, "{target}: {after:?}: {report:?}");
                    }
                }
                if let Some(after) = after {
                    known.insert(target.clone(), after.clone());
                }
            }
            assert_eq!(report.digest, root);
            counts.complete += usize::from(report.is_complete());
            assert!(report.is_complete() || !self.is_bearable, "push {number}: {report:?}");
        }
        counts
    }

    /// Pushes on all lanes; every tag is whole in the end, seen by somebody who has not looked before.
    async fn rages(self: Arc<Self>, pushes: usize) -> Counts {
        let lanes = (0..LANES).map(|lane| tokio::spawn(self.clone().lane(lane, pushes)));
        let mut all = Counts::default();
        for lane in lanes.collect::<Vec<_>>() {
            let counts = lane.await.expect("a lane");
            all.complete += counts.complete;
            all.moved += counts.moved;
            all.as_before += counts.as_before;
            all.unknown += counts.unknown;
        }
        tokio::task::block_in_place(|| Walk::through(&self.registry.address).all());
        all
    }
}

fn client() -> RegistryClient {
    let idle = Duration::from_millis(700);
    let timeouts = Timeouts { idle, commit: idle, ..Timeouts::default() };
    RegistryClient::new(ClientOptions { timeouts, ..ClientOptions::default() })
}

fn limits(retries: u32, retries_of_one: u32) -> RetryLimits {
    let backoff = Duration::from_millis(2);
    let longest_backoff = Duration::from_millis(20);
    RetryLimits { retries, retries_of_one, backoff, longest_backoff, ..RetryLimits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_walks_through_a_registry_notices_what_is_missing_or_wrong() {
    if !require("docker-registry") {
        return;
    }
    let storm = Storm::new(Weather { seed: 0, failing: 0, in_a_row: None }, limits(0, 0));
    let root = storm.index(1);
    let report = storm.push(&client(), &root, &["app:1".to_owned()]).await;
    assert!(report.is_complete(), "{report:?}");
    let is_whole = || {
        let address = storm.registry.address.clone();
        std::thread::spawn(move || Walk::through(&address).all()).join().is_ok()
    };
    assert!(is_whole());
    let index: Value =
        serde_json::from_slice(&storm.store.read_document(&root).expect("read")).expect("json");
    let image = digest_in(&index["manifests"][1]);
    let manifest: Value =
        serde_json::from_slice(&storm.store.read_document(&image).expect("read")).expect("json");
    for digest in [digest_in(&manifest["layers"][0]), digest_in(&manifest["config"]), image] {
        let file = storm.registry.file(&digest);
        let bytes = std::fs::read(&file).expect("read");
        std::fs::write(&file, [&bytes[1..], b"x"].concat()).expect("written");
        assert!(!is_whole(), "{digest} is another");
        std::fs::remove_file(&file).expect("removed");
        assert!(!is_whole(), "{digest} is missing");
        std::fs::write(&file, bytes).expect("written");
        assert!(is_whole());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_pushes_through_a_faulty_network_all_end_well() {
    if !require("docker-registry") {
        return;
    }
    let weather = Weather { seed: seed(), failing: 150, in_a_row: Some(2) };
    let counts = Storm::new(weather, limits(100_000, 9)).rages(200).await;
    assert_eq!(counts.complete, 200, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_that_a_network_ends_leave_every_tag_whole_and_tell_what_it_means() {
    if !require("docker-registry") {
        return;
    }
    let weather = Weather { seed: seed(), failing: 250, in_a_row: None };
    let counts = Storm::new(weather, limits(12, 3)).rages(120).await;
    // A storm in which nothing ends, or everything, shows nothing.
    assert!(counts.moved > 0 && counts.as_before > 0, "{counts:?}");
}

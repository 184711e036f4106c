//! Publishing to and pulling from a real registry, checked with skopeo as well as with our own client.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use polyarch::{
    oci::{Reference, Store, digest_of},
    registry::{
        BlobOutcome, ClientOptions, CredentialSources, Publication, PullDepth, RegistryClient, RegistryError,
        RetryLimits, TransferCx, TransferEvent, publish, pull,
    },
};
use polyarch_actors::{Descriptor, Digest, RegistryAccess};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{
    registry::{
        OCI_INDEX, OCI_MANIFEST, PASSWORD, TestRegistry, digest_in, image, layer_of, put, sample_index,
    },
    tools::require,
};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("store")).expect("a store");
    (folder, store)
}

fn name(text: &str) -> Reference {
    text.parse().expect("a name")
}

fn publication(root: &Digest, targets: &[&Reference]) -> Publication {
    let targets = targets.iter().map(|target| (*target).clone()).collect();
    Publication { root: root.clone(), targets, sources: Vec::new() }
}

/// A context that remembers what happened.
fn watched() -> (TransferCx, Arc<Mutex<Vec<TransferEvent>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let on_event = move |event| seen.lock().expect("events").push(event);
    (TransferCx::new(CancellationToken::new(), RetryLimits::default(), on_event), events)
}

fn outcomes(events: &Mutex<Vec<TransferEvent>>) -> Vec<BlobOutcome> {
    let events = events.lock().expect("events");
    let outcome = |event: &TransferEvent| match event {
        TransferEvent::BlobFinished { outcome, .. } => Some(*outcome),
        _ => None,
    };
    events.iter().filter_map(outcome).collect()
}

fn last_progress(events: &Mutex<Vec<TransferEvent>>) -> (u64, u64) {
    let events = events.lock().expect("events");
    let progress = |event: &TransferEvent| match event {
        TransferEvent::Advanced { done, total } => Some((*done, *total)),
        _ => None,
    };
    events.iter().rev().find_map(progress).expect("progress")
}

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(arguments).output().expect("skopeo runs");
    assert!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_published_and_skopeo_reads_it_back_byte_for_byte() {
    if !require("docker-registry") || !require("skopeo") {
        return;
    }
    let registry = TestRegistry::open();
    let (folder, store) = store();
    let root = sample_index(&store, &["amd64", "arm64"], "a", 300_000);
    let target = name(&format!("{}/team/app:1", registry.address));
    let client = RegistryClient::new(ClientOptions::default());
    let (cx, events) = watched();
    let report = publish(&client, &store, &publication(&root, &[&target]), &cx).await.expect("published");
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((&report.digest, report.media_type.as_str()), (&root, OCI_INDEX));
    assert_eq!(outcomes(&events), [BlobOutcome::Moved; 5]);
    let (done, total) = last_progress(&events);
    assert_eq!(done, total);
    assert!(total > 900_000, "{total}");

    let image = format!("docker://{target}");
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &image]);
    assert_eq!(raw, store.read_document(&root).expect("the index"));
    let copy = format!("dir:{}", folder.path().join("copy").display());
    skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &image, &copy]);

    let (cx, events) = watched();
    let report = publish(&client, &store, &publication(&root, &[&target]), &cx).await.expect("published");
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(outcomes(&events), [BlobOutcome::Present; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_of_several_repositories_and_registries_share_the_work() {
    if !require("docker-registry") {
        return;
    }
    let (one, two) = (TestRegistry::open(), TestRegistry::open());
    let (_folder, store) = store();
    let root = sample_index(&store, &["amd64", "arm64"], "b", 50_000);
    let targets = [
        name(&format!("{}/team/app:1", one.address)),
        name(&format!("{}/team/app", one.address)),
        name(&format!("{}/team/mirror:1", one.address)),
        name(&format!("{}/app:1", two.address)),
    ];
    let client = RegistryClient::new(ClientOptions::default());
    let (cx, events) = watched();
    let references: Vec<&Reference> = targets.iter().collect();
    let report = publish(&client, &store, &publication(&root, &references), &cx).await.expect("published");
    assert!(report.is_complete(), "{report:?}");
    let outcomes = outcomes(&events);
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!((count(BlobOutcome::Moved), count(BlobOutcome::Mounted)), (10, 5), "{outcomes:?}");
    let tags: Vec<&str> = report.targets.iter().map(|target| target.reference.tag_or_latest()).collect();
    assert_eq!(tags, ["1", "latest", "1", "1"]);
    for target in &report.targets {
        let found = client.resolve(&target.reference, &cx).await.expect("resolved");
        assert_eq!((&found.digest, found.media_type.as_str()), (&root, OCI_INDEX));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_taken_from_the_file_and_a_wrong_one_is_told_from_none() {
    if !require("docker-registry") || !require("htpasswd") {
        return;
    }
    let registry = TestRegistry::with_password();
    let (_folder, store) = store();
    let root = sample_index(&store, &["amd64"], "c", 1000);
    let target = name(&format!("{}/app:1", registry.address));
    let publication = publication(&root, &[&target]);
    let attempt = async |credentials| {
        let options = ClientOptions { credentials, ..ClientOptions::default() };
        publish(&RegistryClient::new(options), &store, &publication, &TransferCx::unwatched()).await
    };
    let from = |password| CredentialSources::new(Some(registry.authfile(password)), None, |_| None);
    let failure = |report: polyarch::registry::PublishReport| {
        report.targets.into_iter().next().expect("a target").result.expect_err("refused")
    };

    let none = failure(attempt(CredentialSources::default()).await.expect("a report"));
    assert!(matches!(*none, RegistryError::NoCredentials { .. }), "{none:?}");
    let wrong = failure(attempt(from("hunter2")).await.expect("a report"));
    let message = wrong.to_string();
    let file = registry.authfile("hunter2");
    assert_eq!(message, format!("{} refused the credentials from {}", registry.address, file.display()));
    let report = attempt(from(PASSWORD)).await.expect("a report");
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_on_this_machine_needs_no_trusted_certificate() {
    if !require("docker-registry") || !require("openssl") {
        return;
    }
    let registry = TestRegistry::with_tls();
    let (_folder, store) = store();
    let root = sample_index(&store, &["amd64"], "tls", 1000);
    let target = name(&format!("{}/app:1", registry.address));
    let client = RegistryClient::new(ClientOptions::default());
    let cx = TransferCx::unwatched();
    let report = publish(&client, &store, &publication(&root, &[&target]), &cx).await.expect("published");
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pulled_is_what_was_published() {
    if !require("docker-registry") {
        return;
    }
    let registry = TestRegistry::open();
    let (_folder, source) = store();
    let root = sample_index(&source, &["amd64", "arm64"], "d", 200_000);
    let target = name(&format!("{}/app:1", registry.address));
    let client = RegistryClient::new(ClientOptions::default());
    let cx = TransferCx::unwatched();
    let report = publish(&client, &source, &publication(&root, &[&target]), &cx).await.expect("published");
    assert!(report.is_complete(), "{report:?}");

    let (_folder, whole) = store();
    let (cx, events) = watched();
    let found = pull(&client, &whole, &target, PullDepth::Everything, &cx).await.expect("pulled");
    assert_eq!((&found.digest, found.media_type.as_str()), (&root, OCI_INDEX));
    let blobs = |store: &Store| {
        let folder = std::fs::read_dir(store.root().join("blobs/sha256")).expect("blobs");
        let mut names: Vec<_> = folder.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(blobs(&whole), blobs(&source));
    let (done, total) = last_progress(&events);
    assert_eq!(done, total);

    let (_folder, sparse) = store();
    let digest = target.with_digest(root.clone());
    pull(&client, &sparse, &digest, PullDepth::ManifestsAndConfigs, &cx).await.expect("pulled");
    assert_eq!(blobs(&sparse).len(), 5, "an index, two manifests, two configs");

    // Layers that are only in the registry are linked within it.
    let other = name(&format!("{}/team/other:1", registry.address));
    let unlinked = publication(&root, &[&other]);
    let report = publish(&client, &sparse, &unlinked, &cx).await.expect("a report");
    let error = report.targets[0].result.as_ref().expect_err("no layers").to_string();
    assert!(error.starts_with("the store has no blob sha256:"), "{error}");
    let linked = Publication { sources: vec![target.clone()], ..unlinked };
    let report = publish(&client, &sparse, &linked, &cx).await.expect("published");
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn single_images_nested_indexes_and_foreign_layers_are_published() {
    if !require("docker-registry") {
        return;
    }
    let registry = TestRegistry::open();
    let (_folder, store) = store();
    let mut foreign = layer_of(&store, "foreign", 10);
    foreign["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar".into();
    foreign["urls"] = json!(["https://example.com/layer"]);
    let own = layer_of(&store, "own", 10);
    let image = put(&store, OCI_MANIFEST, &image(&store, "amd64", &[foreign.clone(), own.clone()]));
    let inner =
        put(&store, OCI_INDEX, &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image]}));
    let outer = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner, image]});
    let outer = put(&store, OCI_INDEX, &outer);

    let client = RegistryClient::new(ClientOptions::default());
    let cx = TransferCx::unwatched();
    let target = name(&format!("{}/app:1", registry.address));
    for root in [&image, &outer] {
        let publication = publication(&digest_in(root), &[&target]);
        let report = publish(&client, &store, &publication, &cx).await.expect("published");
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(client.resolve(&target, &cx).await.expect("resolved").digest, digest_in(root));
    }
    let blob =
        |value: &serde_json::Value| serde_json::from_value::<Descriptor>(value.clone()).expect("a blob");
    assert!(client.has_blob(&target, &blob(&own), &cx).await.expect("looked"));
    assert!(!client.has_blob(&target, &blob(&foreign), &cx).await.expect("looked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_from_what_cannot_be_reached() {
    if !require("docker-registry") {
        return;
    }
    let registry = TestRegistry::open();
    let client = RegistryClient::new(ClientOptions::default());
    let once = || {
        let limits = RetryLimits { retries: 0, ..RetryLimits::default() };
        TransferCx::new(CancellationToken::new(), limits, |_| {})
    };
    let missing = name(&format!("{}/app:none", registry.address));
    for error in [
        client.resolve(&missing, &once()).await.expect_err("missing"),
        client.manifest(&missing, &once()).await.expect_err("missing"),
        client.manifest(&missing.with_digest(digest_of(b"x")), &once()).await.expect_err("missing"),
    ] {
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error:?}");
    }
    let address = registry.address.clone();
    drop(registry);
    let client = RegistryClient::new(ClientOptions::default());
    let error = client.resolve(&missing, &once()).await.expect_err("gone");
    assert_eq!(error.to_string(), format!("cannot reach {address}: Connection refused"));
    assert!(error.retryable());

    let wrong = name("registry.invalid/app:1");
    let access = RegistryAccess { tls_verify: false, ..RegistryAccess::default() };
    let client = RegistryClient::new(ClientOptions { access, ..ClientOptions::default() });
    let error = client.resolve(&wrong, &TransferCx::unwatched()).await.expect_err("no such host");
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
}

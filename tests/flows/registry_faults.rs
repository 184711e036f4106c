//! A real registry behind a proxy that fails: what is retried, what is reported, and which tags never move.

use std::time::{Duration, Instant};

use polyarch::{
    oci::{Reference, Store},
    registry::{PullDepth, RegistryError, pull},
};
use polyarch_actors::Descriptor;

use crate::support::{
    registry::{OCI_INDEX, layer_of, sample_index},
    registry_proxy::Fault,
    registry_scene::{LAYER, Scene, answer, client, failure},
    tools::require,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_asks_for_time_gets_it() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    let wait = ("Retry-After", "1".to_owned());
    scene.proxy.add("POST", "/blobs/uploads/", 1, Fault::Answer(429, vec![wait], "slow down".into()));
    let begun = Instant::now();
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let retries = scene.retries();
    assert_eq!(retries.len(), 1, "{retries:?}");
    assert_eq!(retries[0].0, format!("{} takes no more requests for 1 s: slow down", scene.proxy.address));
    assert_eq!(scene.kept("app:1").await, Some(scene.root.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_failures_of_every_request_are_retried_and_reported() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    for (method, path, fault) in [
        ("GET", "/v2/", answer(503)),
        ("HEAD", "/blobs/", answer(500)),
        ("POST", "/blobs/uploads/", answer(502)),
        ("PUT", "/blobs/uploads/", answer(500)),
        ("PUT", "/manifests/sha256:", answer(408)),
        ("PUT", "/manifests/sha256:", Fault::Break(100)),
        ("GET", "/manifests/sha256:", answer(404)),
        ("GET", "/manifests/sha256:", Fault::CutAnswer(200)),
        ("PUT", "/manifests/1", answer(504)),
    ] {
        scene.proxy.add(method, path, 1, fault);
    }
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(scene.retries().len(), 9, "{:?}", scene.retries());
    assert_eq!(scene.kept("app:1").await, Some(scene.root.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_begins_again_and_is_counted_once() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("PUT", "/blobs/uploads/", 2, Fault::Break(LAYER / 2));
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    let (done, total) = scene.progress();
    assert_eq!(done, total);
    assert!(scene.proxy.count("POST") >= 6, "{:?}", scene.proxy.requests());
    // What the registry delivers is whole.
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    pull(&scene.client, &store, &scene.name("app:1"), PullDepth::Everything, &scene.cx())
        .await
        .expect("pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_becomes_an_upload_uses_that_session() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("POST", "mount=", 100, Fault::WithoutQuery);
    let report = scene.publish(&["one:1", "two:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(scene.proxy.count("POST /v2/two/blobs/uploads/"), 5, "{:?}", scene.proxy.requests());
    assert_eq!(scene.proxy.count("PUT /v2/two/blobs/uploads/"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tag_moves_when_the_index_reads_back_differently() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    let other = r#"{"schemaVersion":2,"manifests":[]}"#.to_owned();
    let headers = vec![("Content-Type", OCI_INDEX.to_owned())];
    scene.proxy.add("GET", "/manifests/sha256:", 100, Fault::Answer(200, headers, other));
    let report = scene.publish(&["app:1"]).await;
    let error = failure(&report, 0);
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error:?}");
    assert_eq!(scene.proxy.count("PUT /v2/app/manifests/1"), 0);
    assert_eq!(scene.kept("app:1").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_the_last_thing_that_is_asked_for() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    let report = scene.publish(&["one:1", "one:2", "two:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    let requests = scene.proxy.requests();
    let (before, tags) = requests.split_at(requests.len() - 3);
    assert_eq!(tags, ["PUT /v2/one/manifests/1", "PUT /v2/one/manifests/2", "PUT /v2/two/manifests/1"]);
    let read_backs =
        before.iter().filter(|request| request.starts_with("GET") && request.contains("/manifests/"));
    assert_eq!(read_backs.count(), 2, "{before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tag_that_fails_is_reported_beside_those_that_moved() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    let body = r#"{"errors":[{"code":"DENIED","message":"the tag is immutable"}]}"#.to_owned();
    scene.proxy.add("PUT", "/manifests/2", 1, Fault::Answer(403, Vec::new(), body));
    let report = scene.publish(&["app:1", "app:2", "app:3"]).await;
    let results: Vec<bool> = report.targets.iter().map(|target| target.result.is_ok()).collect();
    assert_eq!(results, [true, false, true]);
    let message = failure(&report, 1).to_string();
    let address = &scene.proxy.address;
    assert_eq!(message, format!("{address} denied access to manifest {address}/app:2: the tag is immutable"));
    assert_eq!(scene.kept("app:2").await, None);
    assert_eq!(scene.kept("app:3").await, Some(scene.root.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tag_moves_anywhere_when_one_repository_cannot_be_filled() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("POST", "/v2/two/", 100, answer(403));
    let direct: Reference = format!("{}/three:1", scene.registry.address).parse().expect("a name");
    let report = scene.publish_to(vec![scene.name("one:1"), scene.name("two:1"), direct]).await;
    assert!(matches!(failure(&report, 0), RegistryError::Withheld { .. }), "{report:?}");
    assert!(matches!(failure(&report, 1), RegistryError::Denied { .. }), "{report:?}");
    assert!(matches!(failure(&report, 2), RegistryError::Withheld { .. }), "{report:?}");
    for name in ["one:1", "two:1", "three:1"] {
        assert_eq!(scene.kept(name).await, None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_connection_is_given_up_and_tried_again() {
    if !require("docker-registry") {
        return;
    }
    let mut scene = Scene::set();
    scene.client = client(Duration::from_millis(500));
    scene.proxy.add("PUT", "/blobs/uploads/", 1, Fault::Stall);
    scene.proxy.add("GET", "/manifests/sha256:", 1, Fault::Stall);
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    let retries = scene.retries();
    assert!(retries.len() >= 2, "{retries:?}");
    assert!(
        retries.iter().all(|(reason, _)| reason.contains("did not answer or send anything")),
        "{retries:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_never_recovers_ends_the_publication() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("POST", "/blobs/uploads/", 10_000, answer(503));
    let report = scene.publish(&["app:1"]).await;
    let error = failure(&report, 0);
    assert!(matches!(error, RegistryError::Refused { status: 503, .. }), "{error:?}");
    assert!(scene.retries().len() <= 40, "{}", scene.retries().len());
    assert_eq!(scene.kept("app:1").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_at_once_and_leaves_no_tag() {
    if !require("docker-registry") {
        return;
    }
    let mut scene = Scene::set();
    scene.client = client(Duration::from_mins(1));
    scene.proxy.add("PUT", "/blobs/uploads/", 100, Fault::Stall);
    let cancel = scene.cancel.clone();
    let later = async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
        Instant::now()
    };
    let (report, cancelled) = tokio::join!(scene.publish(&["app:1", "other:1"]), later);
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    for target in 0..2 {
        assert!(matches!(failure(&report, target), RegistryError::Cancelled), "{report:?}");
    }
    assert_eq!(scene.kept("app:1").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_pull_leaves_no_file() {
    if !require("docker-registry") {
        return;
    }
    let mut scene = Scene::set();
    assert!(scene.publish(&["app:1"]).await.is_complete());
    scene.client = client(Duration::from_mins(1));
    scene.proxy.add("GET", "/blobs/", 1, Fault::Stall);
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let cancel = scene.cancel.clone();
    let later = async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    };
    let (name, cx) = (scene.name("app:1"), scene.cx());
    let (end, ()) = tokio::join!(pull(&scene.client, &store, &name, PullDepth::Everything, &cx), later);
    assert!(matches!(end, Err(RegistryError::Cancelled)), "{end:?}");
    let process =
        std::fs::read_dir(store.root().join("tmp")).expect("tmp").next().expect("one").expect("one");
    let left: Vec<_> =
        std::fs::read_dir(process.path()).expect("list").map(|it| it.expect("it").file_name()).collect();
    assert_eq!(left, ["lock"]);
    assert!(!store.contains(&scene.root));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_large_requests_are_refused_blobs_go_in_chunks() {
    if !require("docker-registry") {
        return;
    }
    let mut scene = Scene::set();
    scene.root = sample_index(&scene.store, &["amd64"], "large", 20 << 20);
    scene.proxy.add("PUT", "/blobs/uploads/", 2, answer(413));
    scene.client = client(Duration::from_secs(10));
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert!(scene.proxy.count("PATCH") >= 2, "{:?}", scene.proxy.requests());
    let (done, total) = scene.progress();
    assert_eq!(done, total);
    assert_eq!(scene.kept("app:1").await, Some(scene.root.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_long_requests_break_blobs_go_in_chunks() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("PUT", "/blobs/uploads/", 1000, Fault::Break(LAYER / 2));
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(scene.proxy.count("PATCH"), 3);
    assert_eq!(scene.kept("app:1").await, Some(scene.root.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_cut_blob_never_enters_the_store() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    assert!(scene.publish(&["app:1"]).await.is_complete());
    let fetch = async || {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let end = pull(&scene.client, &store, &scene.name("app:1"), PullDepth::Everything, &scene.cx()).await;
        (store.contains(&scene.root), end)
    };
    scene.proxy.add("GET", "/blobs/", 2, Fault::CutAnswer(1000));
    let (stored, end) = fetch().await;
    assert!(stored, "{end:?}");
    // Another blob of the same length, and one that goes on where it should end.
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("a store");
    let blob: Descriptor =
        serde_json::from_value(layer_of(&scene.store, "faults shared", LAYER)).expect("a descriptor");
    for (length, mismatch) in [(LAYER, true), (LAYER + 1, false)] {
        scene.proxy.add("GET", "/blobs/", 1, Fault::Answer(200, Vec::new(), "x".repeat(length)));
        let end = scene.client.pull_blob(&scene.name("app:1"), &blob, &store, &scene.cx()).await;
        let error = end.expect_err("wrong");
        assert_eq!(matches!(error, RegistryError::DigestMismatch { .. }), mismatch, "{error:?}");
        assert_eq!(std::fs::read_dir(store.root().join("blobs/sha256")).expect("list").count(), 0);
    }
}

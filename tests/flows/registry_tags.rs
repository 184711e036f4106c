//! What is known of a tag when the registry does not say it, and how long a registry is waited for.

use std::time::{Duration, Instant, SystemTime};

use polyarch::registry::{RegistryError, TagState};

use crate::support::{
    registry_proxy::Fault,
    registry_scene::{Scene, answer, client, failure},
    tools::require,
};

const TAG: &str = "/v2/app/manifests/1";
/// More often than anything is tried again.
const ALWAYS: usize = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_is_published_although_every_answer_was_lost() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("PUT", TAG, ALWAYS, Fault::LoseAnswer);
    let report = scene.publish(&["app:1", "app:2"]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(scene.kept("app:1").await, Some(scene.root.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_tag_is_known_whether_it_moved_or_that_it_is_not_known() {
    if !require("docker-registry") {
        return;
    }
    for (put, get, state) in [
        (answer(403), None, TagState::AsBefore),
        (answer(500), None, TagState::AsBefore),
        // A gateway that gave up, or whose connection broke, may yet do what it was asked for.
        (answer(504), None, TagState::Unknown),
        (Fault::Break(100), None, TagState::Unknown),
        (answer(500), Some(answer(503)), TagState::Unknown),
        (Fault::LoseAnswer, Some(answer(503)), TagState::Unknown),
        (Fault::Garble("Docker-Content-Digest"), None, TagState::Moved),
    ] {
        let scene = Scene::set();
        scene.proxy.add("PUT", TAG, ALWAYS, put.clone());
        if let Some(get) = get {
            scene.proxy.add("GET", TAG, ALWAYS, get);
        }
        let report = scene.publish(&["app:1", "app:2"]).await;
        assert_eq!(report.targets[0].state(), state, "{put:?}: {report:?}");
        assert_eq!(report.targets[1].state(), TagState::Moved, "{put:?}: {report:?}");
        let kept = scene.kept("app:1").await;
        match state {
            TagState::Moved => assert_eq!(kept, Some(scene.root.clone())),
            TagState::AsBefore => assert_eq!(kept, None),
            TagState::Unknown => {
                let error = failure(&report, 0).to_string();
                let name = format!("whether {}/app:1 was moved is not known: ", scene.proxy.address);
                assert!(error.starts_with(&name), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_while_a_tag_moves_is_told_that_it_may_have_moved() {
    if !require("docker-registry") {
        return;
    }
    let mut scene = Scene::set();
    scene.client = client(Duration::from_mins(1));
    scene.proxy.add("PUT", TAG, 1, Fault::Stall);
    let (cancel, proxy) = (scene.cancel.clone(), &scene.proxy);
    let later = async move {
        while proxy.count("PUT /v2/app/manifests/1") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
        Instant::now()
    };
    let (report, cancelled) = tokio::join!(scene.publish(&["app:1", "app:2"]), later);
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    assert_eq!(report.targets[0].state(), TagState::Unknown, "{report:?}");
    assert_eq!(report.targets[1].state(), TagState::AsBefore, "{report:?}");
    assert!(matches!(failure(&report, 1), RegistryError::Cancelled), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_to_wait_for_is_waited_for_and_one_too_far_away_is_not() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    let later = |seconds| {
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
        Fault::Answer(503, vec![("Retry-After", date)], String::new())
    };
    scene.proxy.add("PUT", TAG, 1, later(3));
    let begun = Instant::now();
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    // Dates have no fractions of a second.
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());

    scene.proxy.add("PUT", "/v2/app/manifests/2", 1, later(3600));
    let begun = Instant::now();
    let report = scene.publish(&["app:2"]).await;
    assert!(matches!(failure(&report, 0), RegistryError::Refused { status: 503, .. }), "{report:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(report.targets[0].state(), TagState::AsBefore);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_contact_that_breaks_is_made_again() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("GET", "/v2/", 1, Fault::Reset(0));
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_registry_led_astray_is_begun_again() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    scene.proxy.add("POST", "/blobs/uploads/", 3, Fault::Garble("Location"));
    let report = scene.publish(&["app:1"]).await;
    assert!(report.is_complete(), "{report:?}");
    let retries = scene.retries();
    assert!(retries.iter().any(|(reason, _)| reason.contains("has lost the upload")), "{retries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_has_another_digest_does_not_count_as_there() {
    if !require("docker-registry") {
        return;
    }
    let scene = Scene::set();
    assert!(scene.publish(&["app:1"]).await.is_complete());
    let sent = scene.proxy.count("PUT /v2/app/blobs/");
    scene.proxy.add("HEAD", "/v2/app/blobs/", 1, Fault::Garble("Docker-Content-Digest"));
    assert!(scene.publish(&["app:2"]).await.is_complete());
    assert_eq!(scene.proxy.count("PUT /v2/app/blobs/"), sent + 1);
}

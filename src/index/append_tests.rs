use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::any};

use super::*;
use crate::{
    images::Images,
    index::{Creation, Destination, Location},
    oci::{Store, digest_of},
    registry::ClientOptions,
};

/// How a registry treats a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Others write it at once after everybody.
    Contended,
    /// It takes that long to answer that a tag is written.
    Slow(Duration),
}

/// A registry of one repository, and an image in a store that is to be added to a tag there.
struct Scene {
    indexes: Indexes,
    creation: Creation,
    writes: Arc<Mutex<u32>>,
    _server: MockServer,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn set(manner: Manner) -> Self {
        let (server, writes) = (MockServer::start().await, Arc::new(Mutex::new(0)));
        let (kept, count) = (Mutex::new(HashMap::new()), writes.clone());
        let respond = move |request: &Request| {
            answer(&mut kept.lock().expect("kept"), &mut count.lock().expect("a count"), request, manner)
        };
        Mock::given(any()).respond_with(respond).mount(&server).await;

        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let put = |media_type: &str, document: &Value| {
            let bytes = document.to_string().into_bytes();
            let digest = store.put(&bytes).expect("stored");
            json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()})
        };
        let rootfs = json!({"type": "layers", "diff_ids": []});
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": rootfs});
        let config = put("application/vnd.oci.image.config.v1+json", &config);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let image = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []});
        let root = serde_json::from_value(put(kind, &image)).expect("a descriptor");
        let name: Reference = "app:1".parse().expect("a name");
        store.lock_names().expect("a lock").set(&name, &root).expect("named");

        let tag = format!("{}/app:1", server.address()).parse().expect("a name");
        let creation = Creation {
            sources: vec![Location::Stored(name)],
            targets: vec![Destination::Registry(tag)],
            append: true,
            ..Creation::default()
        };
        let patience = Patience {
            settle: Duration::from_millis(300),
            window: Duration::from_millis(200),
            watch: Duration::from_millis(50),
            pause: Duration::from_millis(2),
            longest_pause: Duration::from_millis(5),
            rounds: 3,
        };
        let indexes = Indexes { patience, ..Indexes::new(Images::new(store, ClientOptions::default())) };
        Self { indexes, creation, writes, _server: server, _folder: folder }
    }

    async fn create(&self) -> Result<(), IndexError> {
        self.indexes.create(&self.creation, &TransferCx::unwatched()).await.map(|_| ())
    }
}

/// What a registry answers that keeps blobs by their digests and manifests by their last names.
fn answer(
    kept: &mut HashMap<String, (String, Vec<u8>)>,
    writes: &mut u32,
    request: &Request,
    manner: Manner,
) -> ResponseTemplate {
    let path = request.url.path();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let is_tag = path.contains("/manifests/") && !name.starts_with("sha256:");
    let digest =
        request.url.query_pairs().find(|(key, _)| key == "digest").map(|(_, value)| value.to_string());
    match request.method.as_str() {
        "POST" => ResponseTemplate::new(202).insert_header("Location", format!("{path}1")),
        "PUT" => {
            let kind = request.headers["content-type"].to_str().expect("text").to_owned();
            *writes += u32::from(is_tag);
            if !is_tag || manner != Manner::Contended {
                kept.insert(digest.unwrap_or(name), (kind, request.body.clone()));
            }
            let delay = match manner {
                Manner::Slow(delay) if is_tag => delay,
                _ => Duration::ZERO,
            };
            ResponseTemplate::new(201).set_delay(delay)
        }
        _ if path == "/v2/" => ResponseTemplate::new(200),
        _ => kept.get(&name).map_or_else(
            || ResponseTemplate::new(404),
            |(kind, bytes)| {
                let answer = ResponseTemplate::new(200).set_body_raw(bytes.clone(), kind);
                answer.insert_header("Docker-Content-Digest", digest_of(bytes).as_str())
            },
        ),
    }
}

#[tokio::test]
async fn a_tag_that_shows_what_was_written_has_the_entries() {
    let scene = Scene::set(Manner::Honest).await;
    scene.create().await.expect("added");
    assert_eq!(*scene.writes.lock().expect("a count"), 1);
    scene.create().await.expect("it is there");
    assert_eq!(*scene.writes.lock().expect("a count"), 1, "what is there is not written again");
}

#[tokio::test]
async fn a_tag_that_others_write_after_every_round_is_given_up() {
    let scene = Scene::set(Manner::Contended).await;
    let error = scene.create().await.expect_err("others write it");
    assert!(matches!(error, IndexError::Contended { rounds: 3, .. }), "{error:?}");
    assert_eq!(*scene.writes.lock().expect("a count"), 3);
}

#[tokio::test]
async fn a_write_that_took_longer_than_others_watch_is_no_success() {
    let scene = Scene::set(Manner::Slow(Duration::from_millis(260))).await;
    let error = scene.create().await.expect_err("too late");
    assert!(
        matches!(&error, IndexError::Late { took, .. } if *took >= Duration::from_millis(260)),
        "{error:?}"
    );
    let scene = Scene::set(Manner::Slow(Duration::from_millis(40))).await;
    scene.create().await.expect("in time");
}

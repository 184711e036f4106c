//! Blobs that go in chunks, to a registry that can go on with an upload: which bytes are sent again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use polyarch::{
    oci::{Reference, Store, digest_of},
    registry::{ClientOptions, RegistryClient, RegistryError, RetryLimits, TransferCx, TransferEvent},
};
use polyarch_actors::Descriptor;
use tokio_util::sync::CancellationToken;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{any, path},
};

use crate::support::{
    registry::layer_of,
    registry_proxy::{Fault, Proxy},
};

const CHUNK: usize = 16 << 20;
const SIZE: usize = 2 * CHUNK + 1000;
const UPLOAD: &str = "/v2/app/blobs/uploads/1";

/// What the registry has, and the ranges that it was sent.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    sent: Vec<String>,
    done: Option<String>,
}

/// A registry with one upload, behind a proxy.
struct Scene {
    kept: Arc<Mutex<Kept>>,
    proxy: Proxy,
    store: Store,
    blob: Descriptor,
    progress: Arc<Mutex<Vec<(u64, u64)>>>,
    _server: MockServer,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A registry that keeps at most `most` bytes of a chunk, and names this digest in the end, if any.
    async fn set(most: usize, digest: Option<String>) -> Self {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let server = MockServer::start().await;
        let shared = kept.clone();
        let upload = move |request: &Request| {
            answer(&mut shared.lock().expect("kept"), request, most, digest.as_deref())
        };
        Mock::given(path(UPLOAD)).respond_with(upload).mount(&server).await;
        Mock::given(path("/v2/")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        let begin = ResponseTemplate::new(202).insert_header("Location", UPLOAD);
        Mock::given(path("/v2/app/blobs/uploads/")).respond_with(begin).mount(&server).await;
        Mock::given(any()).respond_with(ResponseTemplate::new(404)).with_priority(9).mount(&server).await;
        let proxy = Proxy::before(&server.address().to_string());
        // Only chunks get through.
        let refused = Fault::Answer(413, Vec::new(), String::new());
        proxy.add("PUT", UPLOAD, 1, refused);
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("store")).expect("a store");
        let blob = serde_json::from_value(layer_of(&store, "chunks", SIZE)).expect("a descriptor");
        let progress = Arc::default();
        Self { kept, proxy, store, blob, progress, _server: server, _folder: folder }
    }

    async fn push(&self) -> Result<(), RegistryError> {
        let client = RegistryClient::new(ClientOptions::default());
        let name: Reference = format!("{}/app", self.proxy.address).parse().expect("a name");
        let limits = RetryLimits { backoff: Duration::from_millis(10), ..RetryLimits::default() };
        let progress = self.progress.clone();
        let cx = TransferCx::new(CancellationToken::new(), limits, move |event| {
            if let TransferEvent::Advanced { done, total } = event {
                progress.lock().expect("progress").push((done, total));
            }
        });
        client.push_blob(&name, &self.blob, &self.store, &[], &cx).await.map(|_| ())
    }

    fn sent(&self) -> Vec<String> {
        self.kept.lock().expect("kept").sent.clone()
    }

    fn is_whole(&self) -> bool {
        let kept = self.kept.lock().expect("kept");
        kept.done.as_deref() == Some(self.blob.digest.as_str()) && digest_of(&kept.bytes) == self.blob.digest
    }
}

fn answer(kept: &mut Kept, request: &Request, most: usize, digest: Option<&str>) -> ResponseTemplate {
    let there = |status, kept: &Kept| {
        let range = format!("0-{}", kept.bytes.len().saturating_sub(1));
        ResponseTemplate::new(status).insert_header("Location", UPLOAD).insert_header("Range", range)
    };
    match request.method.as_str() {
        "PATCH" => {
            let range = request.headers["content-range"].to_str().expect("a range").to_owned();
            let start = range.split('-').next().and_then(|start| start.parse().ok());
            kept.sent.push(range);
            if start != Some(kept.bytes.len()) {
                return there(416, kept);
            }
            kept.bytes.extend(request.body.iter().take(most));
            there(202, kept)
        }
        "PUT" => {
            kept.done = request.url.query_pairs().find(|(key, _)| key == "digest").map(|(_, it)| it.into());
            let named = digest.map_or_else(|| kept.done.clone().unwrap_or_default(), str::to_owned);
            ResponseTemplate::new(201).insert_header("Docker-Content-Digest", named)
        }
        _ => there(204, kept),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_answer_an_upload_goes_on_where_the_registry_is() {
    let scene = Scene::set(CHUNK, None).await;
    scene.proxy.add("PATCH", UPLOAD, 1, Fault::LoseAnswer);
    scene.push().await.expect("pushed");
    let (one, two) = (CHUNK - 1, 2 * CHUNK - 1);
    let sent = [format!("0-{one}"), format!("{CHUNK}-{two}"), format!("{}-{}", 2 * CHUNK, SIZE - 1)];
    assert_eq!(scene.sent(), sent);
    assert!(scene.is_whole());
    let progress = scene.progress.lock().expect("progress");
    // It goes back once, when the request that was too large is over.
    let back = progress.windows(2).filter(|pair| pair[1].0 < pair[0].0).map(|pair| pair[1].0);
    assert!(back.clone().count() <= 1 && back.sum::<u64>() == 0, "{progress:?}");
    assert_eq!(progress.last().map(|(done, _)| *done), Some(SIZE as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_takes_less_than_a_chunk_gets_the_rest() {
    let scene = Scene::set(CHUNK / 2, None).await;
    scene.push().await.expect("pushed");
    let starts: Vec<String> =
        scene.sent().iter().filter_map(|range| Some(range.split_once('-')?.0.to_owned())).collect();
    assert_eq!(starts, (0..5).map(|half| (half * CHUNK / 2).to_string()).collect::<Vec<_>>());
    assert!(scene.is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_has_kept_another_blob_is_not_believed() {
    let other = digest_of(b"other");
    let scene = Scene::set(CHUNK, Some(other.to_string())).await;
    let error = scene.push().await.expect_err("another blob");
    assert!(matches!(&error, RegistryError::DigestMismatch { found, .. } if *found == other), "{error:?}");
}
